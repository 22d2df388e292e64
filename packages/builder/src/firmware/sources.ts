// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { downloadSource, unpackSource } from '../debian/source.ts';
import type { LockedSource } from '../recipes/lock.ts';
import type { Json, TaskContext } from '../task.ts';

/** The source packages of the firmware and the Debian suite that each comes from (the newest that the suite serves, then the lock). */
export const firmwareSuites = {
  'arm-trusted-firmware': 'trixie',
  mbedtls: 'trixie',
  'optee-os': 'sid',
  'u-boot': 'sid',
} as const;

export type FirmwareSourceName = keyof typeof firmwareSuites;

export type FirmwareSources = Readonly<Record<FirmwareSourceName, LockedSource>>;

/** What identifies a source in a task's inputs. */
export function sourceInputs(source: LockedSource): Json {
  return {
    name: source.name,
    version: source.version,
    files: source.files.map(({ path, sha256 }) => ({ path, sha256 })),
  };
}

/** A source with Debian's patches applied, unpacked into the task's scratch folder. Returns where. */
export async function unpackInto(context: TaskContext, cache: string, source: LockedSource): Promise<string> {
  context.progress(undefined, `unpacking ${source.name} ${source.version}`);
  const { signal } = context;
  const paths = await downloadSource(source, { cache, signal, log: (line) => context.log(line) });
  const target = join(context.work, source.name);
  await unpackSource(paths, join(context.work, `${source.name}.files`), target, signal);
  return target;
}

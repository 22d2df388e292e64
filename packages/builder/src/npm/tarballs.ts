// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { runCommand } from '../debian/command.ts';
import type { ObtainOptions } from '../debian/downloads.ts';
import type { LockedNpm } from '../recipes/lock.ts';

/** As many as one call of npm is asked for. */
const BATCH = 30;

/**
 * The tarballs of npm packages in `<cache>/npm`, each checked against its integrity; missing ones are fetched by npm (its registry, proxy and
 * mirror settings). Throws `builder/download-corrupt`, `builder/download-missing`, `builder/no-network`.
 */
export async function obtainTarballs(
  cache: string,
  packages: readonly LockedNpm[],
  options: ObtainOptions = {},
): Promise<Map<LockedNpm, string>> {
  const paths = new Map(packages.map((each) => [each, tarballPath(cache, each)]));
  const missing: LockedNpm[] = [];
  for (const [each, path] of paths) {
    const cached = await readFile(path).catch(() => undefined);
    if (cached !== undefined && integrityOf(cached) === each.integrity) continue;
    if (cached !== undefined) options.log?.(`The cached file ${path} is corrupt; it is fetched again.`);
    missing.push(each);
  }
  for (let i = 0; i < missing.length; i += BATCH)
    await fetchSome(cache, missing.slice(i, i + BATCH), options);
  return paths;
}

/** Where the cache keeps a tarball: `<cache>/npm/esbuild-linux-x64-0.28.2.tgz`. */
export function tarballPath(cache: string, { name, version }: LockedNpm): string {
  return join(cache, 'npm', `${name.replace('@', '').replaceAll('/', '-')}-${version}.tgz`);
}

/** `sha512-…`, as a lock of npm has it. */
export function integrityOf(bytes: Uint8Array): string {
  return `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
}

async function fetchSome(
  cache: string,
  packages: readonly LockedNpm[],
  options: ObtainOptions,
): Promise<void> {
  const specs = packages.map(({ name, version }) => `${name}@${version}`);
  options.progress?.(
    undefined,
    `fetching ${specs.length > 1 ? `${specs.length} packages of npm` : specs[0]}`,
  );
  const folder = join(cache, 'npm');
  await mkdir(folder, { recursive: true });
  const work = await mkdtemp(join(folder, 'fetch-'));
  try {
    // --ignore-scripts: nothing of a package runs here, whatever the user's settings say.
    const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', work, ...specs];
    const result = await runCommand('npm', args, { cwd: work, signal: options.signal, tolerant: true });
    if (result.status !== 0) throw npmError(specs.join(', '), result.stderr);
    const came = new Map<string, string>();
    for (const file of (await readdir(work)).filter((each) => each.endsWith('.tgz')))
      came.set(integrityOf(await readFile(join(work, file))), join(work, file));
    for (const each of packages) {
      const file = came.get(each.integrity);
      if (file === undefined)
        throw new MblError(
          'builder/download-corrupt',
          `${each.name}@${each.version} came from npm with another content than the lock says.`,
          {
            remedy: "Check npm's registry setting (npm config get registry), then run the build again.",
          },
        );
      await rename(file, tarballPath(cache, each));
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function npmError(what: string, text: string): MblError {
  const network = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH/.test(text);
  return new MblError(
    network ? 'builder/no-network' : 'builder/download-missing',
    `npm could not fetch ${what}: ${text.trim().split('\n').slice(-3).join(' ')}`,
    {
      remedy:
        "Check the network and npm's registry setting (npm config get registry), then run the build again.",
    },
  );
}

// SPDX-License-Identifier: Apache-2.0
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { build, type Metafile } from 'esbuild';
import type { BillComponent } from '@mbl/formats';
import { describeNpm } from '../materials/npm.ts';
import { compare } from './tree.ts';

/** The services of the device and where their source starts, below the repository. */
export const SERVICES = {
  'cloud-client': 'packages/device/src/cloud-client/main.ts',
  platformd: 'packages/device/src/platformd/main.ts',
  storage: 'packages/device/src/storage/main.ts',
  'good-boot': 'packages/device/src/good-boot/main.ts',
  health: 'packages/device/src/health/main.ts',
  'by-hand': 'packages/device/src/by-hand/main.ts',
  apps: 'packages/device/src/apps/main.ts',
} as const;

/** Where `bundleServices` lists the npm packages in the bundles (`BillComponent[]`); the root takes it out again. */
export const BUNDLED_COMPONENTS = 'usr/lib/mbl/components.json';

/**
 * Each service as one file that Node runs without `node_modules`, by its path in the image: `usr/lib/mbl/<name>.mjs`. Services whose
 * source is not there are left out. Throws `builder/bundle-failed` with file and line.
 */
export const bundleServices = async (repository: string): Promise<Map<string, Buffer>> => {
  const files = new Map<string, Buffer>();
  const folders = new Set<string>();
  const results = await Promise.all(
    Object.entries(SERVICES).map(async ([name, path]) =>
      (await isThere(join(repository, path)))
        ? { name, ...(await bundleService(repository, name, path)) }
        : undefined,
    ),
  );
  for (const result of results) {
    if (result === undefined) continue;
    files.set(`usr/lib/mbl/${result.name}.mjs`, Buffer.from(result.code));
    for (const folder of packageFolders(result.metafile)) folders.add(folder);
  }
  const components = await Promise.all(
    [...folders].toSorted(compare).map((folder) => describe(repository, folder)),
  );
  files.set(BUNDLED_COMPONENTS, Buffer.from(JSON.stringify(components)));
  return files;
};

/** One service, and what esbuild knows of it. */
export const bundleService = async (
  repository: string,
  name: string,
  path: string,
): Promise<{ code: Uint8Array; metafile: Metafile }> => {
  const result = await build({
    absWorkingDir: repository,
    entryPoints: [path],
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'esm',
    write: false,
    metafile: true,
    // Names stay, for stack traces; a slow board has less to read without the rest.
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    logLevel: 'silent',
    // The types' settings are no input of the device.
    tsconfigRaw: {},
    // Packages in CommonJS form ask for Node's modules by require().
    banner: {
      js: "import { createRequire as mblRequire } from 'node:module'; const require = mblRequire(import.meta.url);",
    },
  }).catch((cause: unknown) => {
    throw new MblError(
      'builder/bundle-failed',
      `The device service ${name} does not bundle: ${String(cause)}`,
      {
        remedy: 'Correct the source, then run: npx tsc -p .',
        cause,
      },
    );
  });
  return { code: result.outputFiles[0]?.contents ?? new Uint8Array(), metafile: result.metafile };
};

/** `node_modules/@scope/name` of everything that left code in a bundle. */
const packageFolders = ({ outputs }: Metafile): string[] =>
  Object.values(outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .flatMap(([path]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);

const describe = async (repository: string, folder: string): Promise<BillComponent> => {
  const manifest: unknown = JSON.parse(await readFile(join(repository, folder, 'package.json'), 'utf8'));
  const lock: { packages?: Record<string, { integrity?: string }> } = JSON.parse(
    await readFile(join(repository, 'package-lock.json'), 'utf8'),
  );
  const integrity = lock.packages?.[folder]?.integrity ?? '';
  return describeNpm(typeof manifest === 'object' && manifest !== null ? manifest : {}, integrity);
};

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

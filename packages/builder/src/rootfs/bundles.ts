// SPDX-License-Identifier: Apache-2.0
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { build } from 'esbuild';

/** The services of the device and where their source starts, below the repository. */
export const SERVICES = {
  'cloud-client': 'packages/device/src/cloud-client/main.ts',
  platformd: 'packages/device/src/platformd/main.ts',
} as const;

/**
 * Each service as one file that Node runs without `node_modules`, by its path in the image: `usr/lib/mbl/<name>.mjs`. Services whose source is not
 * there are left out. Throws `builder/bundle-failed` with file and line.
 */
export const bundleServices = async (repository: string): Promise<Map<string, Buffer>> => {
  const bundles = new Map<string, Buffer>();
  for (const [name, path] of Object.entries(SERVICES)) {
    const entry = join(repository, path);
    if (
      !(await access(entry).then(
        () => true,
        () => false,
      ))
    )
      continue;
    const result = await build({
      absWorkingDir: repository,
      entryPoints: [path],
      bundle: true,
      platform: 'node',
      target: 'node26',
      format: 'esm',
      write: false,
      legalComments: 'none',
      logLevel: 'silent',
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
    bundles.set(`usr/lib/mbl/${name}.mjs`, Buffer.from(result.outputFiles[0]?.contents ?? new Uint8Array()));
  }
  return bundles;
};

// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import { currentTools } from '../engine/current-tools.ts';
import { runCommand } from '../engine/run-command.ts';
import type { Task } from '../task.ts';

/** Where the compiled profile is in the image. */
export const confinementPath = 'usr/lib/mbl/apps/mbl-app.apparmor';

/**
 * `usr/lib/mbl/apps/mbl-app.apparmor`: AppArmor's profile of apps as the kernel takes it, so that the device needs no parser. `source` is its text,
 * absolute. It is compiled for the features that Debian's package names for the kernel of the same suite; the host's own count for nothing.
 */
export function confinementTask(source: string): Task {
  return {
    name: 'confinement',
    title: 'AppArmor profile of apps',
    inputs: {},
    code: import.meta.filename,
    files: [source],
    tools: ['image'],
    async run(context) {
      const target = join(context.out, confinementPath);
      await mkdir(dirname(target), { recursive: true });
      const features = debianFeatures();
      await runCommand('apparmor_parser', [
        ...['--config-file', '/dev/null', '--base', dirname(source), '--features-file', features],
        ...['--skip-cache', '--skip-kernel-load', '--Werror', '--ofile', target, source],
      ]);
    },
  };
}

/** The file of features of the `apparmor` package that the parser on the search path is of. Throws `builder/missing-tool`. */
function debianFeatures(): string {
  const folders = currentTools.getStore()?.path ?? [];
  const files = folders.map((folder) => join(folder, '../share/apparmor-features/features'));
  const found = files.find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new MblError('builder/missing-tool', 'The toolbox has no file of features for AppArmor.', {
    remedy: 'Restore the locks of the tools from version control, or run: ./mbl build --update-lock',
  });
}

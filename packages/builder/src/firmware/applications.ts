// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildSigner, type KeySet } from '@mbl/trust';
import type { Task } from '../task.ts';
import { signTrustedApplication } from './trusted-application.ts';

/** Where Debian's tee-supplicant looks for trusted applications. */
const folder = 'usr/lib/optee_armtz';

/** The trusted applications, signed: files to lay over the root (`usr/lib/optee_armtz/<uuid>.ta`). */
export function applicationsTask(keys: KeySet, taPublicKey: string): Task {
  return {
    name: 'trusted-applications',
    title: 'Signed trusted applications',
    inputs: { taPublicKey },
    code: import.meta.filename,
    needs: ['optee'],
    async run(context) {
      const source = join(context.need('optee'), 'ta');
      const target = join(context.out, folder);
      await mkdir(target, { recursive: true });
      const key = await buildSigner(keys.keys.ta);
      for (const file of await readdir(source)) {
        const uuid = file.replace(/\.elf$/, '');
        const signed = await signTrustedApplication(uuid, await readFile(join(source, file)), 0, key);
        await writeFile(join(target, `${uuid}.ta`), signed);
      }
    },
  };
}

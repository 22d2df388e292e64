// SPDX-License-Identifier: Apache-2.0
import { appendFile, copyFile, cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { LockedSource } from '../recipes/lock.ts';
import type { Task } from '../task.ts';
import { standInKey } from './application-key.ts';
import { make } from './make.ts';
import { sourceInputs, unpackInto } from './sources.ts';

export interface OpteeRecipe {
  readonly cache: string;
  readonly source: LockedSource;
  /** Folder of headers that all firmware shares (`os/firmware/include`); absolute. */
  readonly include: string;
  /** OP-TEE's name of the platform: `vexpress-qemu_armv8a`. */
  readonly platform: string;
  readonly options: Readonly<Record<string, string>>;
  /** Folder of pseudo trusted applications, `*.c`, which become a part of the core; absolute. */
  readonly pseudoApplications: string;
}

/** The trusted applications that go into the image, by UUID. */
const applications = { pkcs11: 'fd02c9da-306c-48c7-a49c-bbd827ae86ee' } as const;

/**
 * OP-TEE, the same for every key set: `tee-header_v2.bin`, `tee-pager_v2.bin`, `tee-pageable_v2.bin`; `ta/<uuid>.elf`, the trusted applications before signing;
 * `upstream-signed/<uuid>.ta`, the same signed with the upstream's published test key, which a device must refuse.
 */
export function opteeTask(recipe: OpteeRecipe): Task {
  const { cache, source, include, platform, options, pseudoApplications } = recipe;
  return {
    name: 'optee',
    title: `OP-TEE ${source.version}`,
    inputs: { source: sourceInputs(source), platform, options, standInKey },
    code: import.meta.filename,
    files: [include, pseudoApplications],
    tools: ['compile'],
    async run(context) {
      const tree = await unpackInto(context, cache, source);
      await cp(include, join(tree, 'core', 'include'), { recursive: true });
      await cp(pseudoApplications, join(tree, 'core', 'pta'), { recursive: true });
      const own = (await readdir(pseudoApplications)).filter((file) => file.endsWith('.c')).toSorted();
      await appendFile(
        join(tree, 'core', 'pta', 'sub.mk'),
        own.map((file) => `\nsrcs-y += ${file}\n`).join(''),
      );
      const output = join(context.work, 'out');
      const publicKey = join(context.work, 'ta-public.pem');
      await writeFile(publicKey, standInKey);
      context.progress(undefined, 'compiling');
      await make(tree, [
        `O=${output}`,
        'CROSS_COMPILE=aarch64-linux-gnu-',
        'CROSS_COMPILE64=aarch64-linux-gnu-',
        `PLATFORM=${platform}`,
        'CFG_ARM64_core=y',
        'CFG_USER_TA_TARGETS=ta_arm64',
        'CFG_PKCS11_TA=y',
        // No code that only serves tests, no log lines that say more than an owner wants to show.
        'CFG_ENABLE_EMBEDDED_TESTS=n',
        'CFG_WITH_STATS=n',
        'CFG_TEE_CORE_LOG_LEVEL=1',
        'CFG_TEE_TA_LOG_LEVEL=1',
        'CFG_WERROR=n',
        'DEBUG=0',
        `TEE_IMPL_VERSION=${source.version}`,
        // In its place the owner's key is put later (`withApplicationKey`). The make rules sign with the published test key in the tree; that output is for attacks.
        `TA_PUBLIC_KEY=${publicKey}`,
        ...Object.entries(options).map(([name, value]) => `${name}=${value}`),
      ]);
      for (const part of ['tee-header_v2.bin', 'tee-pager_v2.bin', 'tee-pageable_v2.bin'])
        await copyFile(join(output, 'core', part), join(context.out, part));
      await mkdir(join(context.out, 'ta'));
      await mkdir(join(context.out, 'upstream-signed'));
      for (const [name, uuid] of Object.entries(applications)) {
        const folder = join(output, 'ta', name);
        const elf = (await readdir(folder)).find((file) => file.endsWith('.stripped.elf'));
        if (elf === undefined)
          throw new MblError('builder/optee-output', `OP-TEE's build left no ${name} application`);
        await rename(join(folder, elf), join(context.out, 'ta', `${uuid}.elf`));
        await rename(join(folder, `${uuid}.ta`), join(context.out, 'upstream-signed', `${uuid}.ta`));
      }
    },
  };
}

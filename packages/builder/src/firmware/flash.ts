// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Extent } from '@mbl/formats';
import { buildSigner, type KeySet, type TbbrCounters, tbbrCertificates } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';
import { withApplicationKey } from './application-key.ts';
import { requiredKeyNode } from './required-key.ts';
import type { Task } from '../task.ts';
import { buildFip } from './fip.ts';
import { type FlashArea, flashAreas, type FlashLayout, fillFlash } from './flash-layout.ts';

export interface FlashRecipe {
  readonly layout: FlashLayout;
  /** Below what a board has confirmed, it refuses this firmware. */
  readonly counters: TbbrCounters;
  /** The board's device tree, in source form: U-Boot's control tree, with the required key added. */
  readonly deviceTree: string;
  readonly keys: KeySet;
  /** Public keys (PEM) of the key set by name: what the task's result depends on. */
  readonly publicKeys: Readonly<Record<string, string>>;
}

/** The parts of a flash that a story or a person may want to find; the images are those in bank A. */
export type FlashParts = Readonly<Record<'bl1' | 'bl2' | 'bl31' | 'optee' | 'u-boot' | FlashArea, Extent>>;

/** `flash.bin`: BL1, and the FIP with all firmware in bank A, signed; the rest is erased. `flash.json`: where the parts are (`FlashParts`). */
export function flashTask(recipe: FlashRecipe): Task {
  const { layout, counters, deviceTree, keys, publicKeys } = recipe;
  return {
    name: 'flash',
    title: 'Signed boot firmware',
    inputs: { layout: { ...layout }, counters: { ...counters }, deviceTree, publicKeys },
    code: import.meta.filename,
    tools: ['image'],
    needs: ['u-boot', 'trusted-firmware', 'optee'],
    async run(context) {
      const part = (task: string, file: string): Promise<Buffer> => readFile(join(context.need(task), file));
      const control = await controlTree(context.work, deviceTree, await keys.keys.fit.publicKey());
      const bl1 = await part('trusted-firmware', 'bl1.bin');
      const images = {
        bl2: await part('trusted-firmware', 'bl2.bin'),
        bl31: await part('trusted-firmware', 'bl31.bin'),
        bl32: [
          await part('optee', 'tee-header_v2.bin'),
          withApplicationKey(await part('optee', 'tee-pager_v2.bin'), await keys.keys.ta.publicKey()),
          await part('optee', 'tee-pageable_v2.bin'),
        ] as const,
        bl33: Buffer.concat([await part('u-boot', 'u-boot-nodtb.bin'), control]),
      };
      const signer = (name: keyof KeySet['keys']) => buildSigner(keys.keys[name]);
      const certificates = await tbbrCertificates(
        {
          rootOfTrust: await signer('root-of-trust'),
          trustedWorld: await signer('trusted-world'),
          nonTrustedWorld: await signer('non-trusted-world'),
          bl31: await signer('bl31'),
          bl32: await signer('bl32'),
          bl33: await signer('bl33'),
        },
        images,
        counters,
      );
      const { bl2, bl31, bl32, bl33 } = images;
      const [header, pager, pageable] = bl32;
      const fip = buildFip({
        bl2,
        bl31,
        bl32: header,
        'bl32-extra1': pager,
        'bl32-extra2': pageable,
        bl33,
        ...certificates,
      });
      const areas = flashAreas(layout);
      const flash = fillFlash(layout, bl1, fip.bytes);
      const at = (name: Parameters<typeof fip.parts.get>[0]): Extent => {
        const { offset, size: length } = fip.parts.get(name) ?? { offset: 0, size: 0 };
        return { offset: areas.bank_a.offset + offset, size: length };
      };
      const parts: FlashParts = {
        bl1: { offset: 0, size: bl1.length },
        bl2: at('bl2'),
        bl31: at('bl31'),
        optee: at('bl32-extra1'),
        'u-boot': at('bl33'),
        ...areas,
      };
      await writeFile(join(context.out, 'flash.bin'), flash);
      await writeFile(join(context.out, 'flash.json'), `${JSON.stringify(parts, undefined, 2)}\n`);
    },
  };
}

/** U-Boot's control device tree with the one key that it requires of a FIT. */
async function controlTree(work: string, deviceTree: string, fitKey: string): Promise<Buffer> {
  const source = join(work, 'control.dts');
  const output = join(work, 'control.dtb');
  await writeFile(source, deviceTree + requiredKeyNode(fitKey));
  await runCommand('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-o', output, source]);
  return readFile(output);
}

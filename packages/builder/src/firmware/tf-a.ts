// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey } from 'node:crypto';
import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { LockedSource } from '../recipes/lock.ts';
import type { Task } from '../task.ts';
import { type FlashLayout, flashAreas } from './flash-layout.ts';
import { make } from './make.ts';
import { sourceInputs, unpackInto } from './sources.ts';

export interface TrustedFirmwareRecipe {
  readonly cache: string;
  readonly source: LockedSource;
  /** Folder of headers that all firmware shares (`os/firmware/include`); absolute. */
  readonly include: string;
  readonly mbedtls: LockedSource;
  /** TF-A's name of the platform: `qemu`. */
  readonly platform: string;
  readonly options: Readonly<Record<string, string>>;
  /** A folder with a platform of that name, for one that is not TF-A's own; absolute. */
  readonly sources: string | undefined;
  readonly flash: FlashLayout;
  readonly cores: number;
  /** PEM of the public key of the root of trust (EC P-256): BL1 accepts no other. */
  readonly rootOfTrust: string;
}

/** TF-A with trusted board boot: `bl1.bin`, `bl2.bin`, `bl31.bin`. The chain of trust is signed later (`tbbrCertificates`). */
export function trustedFirmwareTask(recipe: TrustedFirmwareRecipe): Task {
  const { cache, source, include, mbedtls, platform, options, sources, flash, cores, rootOfTrust } = recipe;
  return {
    name: 'trusted-firmware',
    title: `TF-A ${source.version}`,
    inputs: {
      ...{ source: sourceInputs(source), mbedtls: sourceInputs(mbedtls), platform, options, rootOfTrust },
      ...{ flash: { ...flash }, cores },
    },
    code: import.meta.filename,
    files: sources === undefined ? [include] : [include, sources],
    tools: ['compile'],
    async run(context) {
      const tree = await unpackInto(context, cache, source);
      const crypto = await unpackInto(context, cache, mbedtls);
      await cp(include, join(tree, 'include'), { recursive: true });
      if (sources !== undefined) await cp(sources, join(tree, 'plat', 'mbl', platform), { recursive: true });
      const output = join(context.work, 'out');
      const built = join(output, platform, 'release');
      await mkdir(built, { recursive: true });
      const hash = await writeRootHash(built, rootOfTrust);
      context.progress(undefined, 'compiling');
      await make(tree, [
        'CROSS_COMPILE=aarch64-linux-gnu-',
        `PLAT=${platform}`,
        `BUILD_BASE=${output}`,
        'TRUSTED_BOARD_BOOT=1',
        'GENERATE_COT=0',
        'KEY_ALG=ecdsa',
        `ROT_KEY=${join(built, 'rot_key.pem')}`,
        `MBEDTLS_DIR=${crypto}`,
        'SPD=opteed',
        ...layoutSettings(flash),
        `CORES=${cores}`,
        'DEBUG=0',
        // mbedTLS 3.6 declares some functions twice, which TF-A's -Werror does not forgive.
        'E=0',
        `BUILD_STRING=${source.version}`,
        'BUILD_MESSAGE_TIMESTAMP="MBL"',
        ...Object.entries(options).map(([name, value]) => `${name}=${value}`),
        'bl1',
        'bl2',
        'bl31',
      ]);
      for (const image of ['bl1.bin', 'bl2.bin', 'bl31.bin'])
        await copyFile(join(built, image), join(context.out, image));
      if (!(await readFile(join(context.out, 'bl1.bin'))).includes(hash))
        throw new MblError(
          'builder/tf-a-root-of-trust',
          'BL1 does not hold the hash of the root of trust key',
        );
    },
  };
}

/** Where the platform finds the parts of its flash; bytes. */
function layoutSettings(layout: FlashLayout): string[] {
  const areas = flashAreas(layout);
  return [
    `FLASH_ERASE_BLOCK=${layout.eraseBlock}`,
    `FLASH_BANK_A=${areas.bank_a.offset}`,
    `FLASH_BANK_B=${areas.bank_b.offset}`,
    `FLASH_BANK_SIZE=${layout.bankSize}`,
    `FLASH_STATE_A=${areas.firmware_state_a.offset}`,
    `FLASH_STATE_B=${areas.firmware_state_b.offset}`,
  ];
}

/**
 * The platform's own rule takes the hash by `openssl rsa` and embeds the hash of nothing for an EC key. It is not run when the file is
 * newer than the key, so the key file is made first, empty: nothing here needs the private key.
 */
async function writeRootHash(folder: string, rootOfTrust: string): Promise<Buffer> {
  const der = createPublicKey(rootOfTrust).export({ type: 'spki', format: 'der' });
  const hash = createHash('sha256').update(der).digest();
  await writeFile(join(folder, 'rot_key.pem'), '');
  await writeFile(join(folder, 'rotpk_sha256.bin'), hash);
  return hash;
}

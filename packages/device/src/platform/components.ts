// SPDX-License-Identifier: Apache-2.0
import { version as kernelBuild } from 'node:os';
import type { FirmwareBanks } from '../firmware/banks.ts';
import { type MeasuredFirmware, measureFirmware } from '../firmware/measure.ts';
import { runningRootHash } from '../slots/running-root.ts';
import { TrialStore } from '../slots/trial.ts';
import { loadImage } from '../common/image.ts';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { type ShapeOf, struct, text } from './shapes.ts';

/**
 * What runs, as it was measured: of the boot firmware the bank, the SHA-256 of what it holds and the version that a signed release gives those
 * bytes; what the kernel says of itself; the root hash by which the kernel reads its root. '' where that cannot be said.
 */
const components = struct({ bank: text, firmware: text, version: text, kernel: text, root: text });

export type Components = ShapeOf<typeof components>;

export const componentMethods = {
  GetComponents: method({}, components, { deadlineMs: 60_000 }),
};

export function readComponents(
  { root, update, imageFile }: Pick<SystemOptions, 'root' | 'update' | 'imageFile'>,
  banks: FirmwareBanks,
): Implementation<typeof componentMethods> {
  /** Nobody writes the bank that runs. */
  let measured: Promise<MeasuredFirmware | undefined> | undefined;
  const measure = async () => {
    measured ??= measureFirmware(banks);
    try {
      return await measured;
    } catch (error) {
      measured = undefined;
      throw error;
    }
  };
  return {
    async getComponents() {
      const found = await measure();
      const known = await new TrialStore(update).knownFirmware();
      const image = await loadImage(imageFile);
      return {
        bank: found?.bank ?? '',
        firmware: found?.sha256 ?? '',
        // What a board was born with no release has brought: the image of its first day says what it is.
        version:
          known.find(({ sha256 }) => sha256 === found?.sha256)?.version ??
          image.components['boot-firmware'].version,
        kernel: kernelVersion(kernelBuild()) ?? '',
        root: await runningRootHash(root),
      };
    },
  };
}

/** Debian's version of a kernel's package, in what the kernel says of its build (uname(2)). */
export function kernelVersion(build: string): string | undefined {
  return / Debian (\S+) \(/.exec(build)?.[1];
}

// SPDX-License-Identifier: Apache-2.0
import type { Extent } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** How a boot flash is divided; bytes. BL1 starts at 0. */
export interface FlashLayout {
  readonly size: number;
  /** What the flash erases at once. */
  readonly eraseBlock: number;
  /** Where the two banks for a FIP start, and the size of each. */
  readonly bankA: number;
  readonly bankB: number;
  readonly bankSize: number;
}

export type FlashArea = 'bank_a' | 'bank_b' | 'firmware_state_a' | 'firmware_state_b';

/**
 * The areas of a flash: the banks, and two blocks for the boot state of the firmware. They are laid out before anything uses them all,
 * because a board in the field keeps its layout. Throws `builder/flash-layout` where areas share a block.
 */
export function flashAreas(layout: FlashLayout): Readonly<Record<FlashArea, Extent>> {
  const { size, eraseBlock, bankA, bankB, bankSize } = layout;
  const areas = {
    bank_a: { offset: bankA, size: bankSize },
    bank_b: { offset: bankB, size: bankSize },
    firmware_state_a: { offset: size - 2 * eraseBlock, size: eraseBlock },
    firmware_state_b: { offset: size - eraseBlock, size: eraseBlock },
  };
  const wrong = (what: string): MblError =>
    new MblError('builder/flash-layout', `The flash cannot be divided like this: ${what}.`, {
      remedy: 'Correct flash in the machine file.',
    });
  let end = 0;
  let last = 'BL1';
  for (const [name, extent] of Object.entries(areas).toSorted(([, a], [, b]) => a.offset - b.offset)) {
    for (const value of [extent.offset, extent.size])
      if (value % eraseBlock !== 0)
        throw wrong(`${name} starts or ends within an erase block of ${eraseBlock} bytes`);
    if (extent.offset < end) throw wrong(`${name} starts before ${last} ends`);
    end = extent.offset + extent.size;
    last = name;
  }
  if (end > size) throw wrong(`${last} ends behind the flash`);
  return areas;
}

/**
 * The bytes of a flash with BL1 and the FIP in bank A; the rest is erased, which is 0xff. Throws `builder/flash-layout`, and
 * `builder/flash-full` where one of them is larger than its place.
 */
export function fillFlash(layout: FlashLayout, bl1: Uint8Array, fip: Uint8Array): Buffer {
  const { bank_a: bank } = flashAreas(layout);
  const flash = Buffer.alloc(layout.size, 0xff);
  const put = (name: string, bytes: Uint8Array, { offset, size }: Extent): void => {
    if (bytes.length > size)
      throw new MblError(
        'builder/flash-full',
        `${name} has ${bytes.length} bytes, and its place in the flash ${size}.`,
        {
          remedy:
            'Make it smaller, or correct flash in the machine file; a board in the field keeps its layout.',
        },
      );
    flash.set(bytes, offset);
  };
  put('BL1', bl1, { offset: 0, size: bank.offset });
  put('The firmware package', fip, bank);
  return flash;
}

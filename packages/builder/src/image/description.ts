// SPDX-License-Identifier: Apache-2.0
import type { Extent } from '../firmware/fip.ts';
import type { FlashParts } from '../firmware/flash.ts';
import type { FitParts } from '../kernel/fit-task.ts';
import type { PlacedPartition } from './partitions.ts';

export interface ImageComponents {
  readonly 'boot-firmware': { readonly version: string; readonly sha256: string };
  readonly kernel: { readonly version: string; readonly sha256: string };
  readonly root: { readonly version: string; readonly rootHash: string };
}

/** `image.json`: what a built image is and where its parts are. Offsets and sizes are bytes (ARCHITECTURE.md, "An image"). */
export interface ImageDescription {
  readonly version: 1;
  readonly machine: string;
  readonly image: string;
  /** 16 hex digits of the hash of all that went in. */
  readonly buildId: string;
  readonly components: ImageComponents;
  readonly flash: { readonly file: string; readonly size: number; readonly parts: FlashParts };
  readonly disk: {
    readonly file: string;
    readonly size: number;
    readonly sectorSize: 512;
    readonly partitions: readonly PlacedPartition[];
  };
  readonly fit: { readonly parts: FitParts };
  readonly root: { readonly dataSize: number; readonly hashOffset: number; readonly rootHash: string };
  readonly emulator: {
    readonly binary: string;
    readonly args: readonly string[];
    readonly serialConsole: number;
    readonly secureConsole: number;
  };
}

export type { Extent };

// SPDX-License-Identifier: Apache-2.0
import { basename } from 'node:path';
import {
  BLOCK_SIZE,
  countBlocks,
  DirectDisk,
  FileSource,
  type JournalStore,
  type Mirror,
  transfer,
  type TransferReport,
} from '@mbl/blocks';
import { readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { writeAtomic } from '../../common/files.ts';
import type { InstallComponent } from '../../platform/update.ts';

export interface BringOptions {
  /** Bytes on the wire for this component, over all runs. */
  readonly budget?: number;
  readonly journal: JournalStore;
  /** Whether the hash tree is written behind the data. */
  readonly tree: boolean;
  /** Milliseconds in which the mirror has to send 64 KiB. */
  readonly stallMs: number;
  /** How often the mirror is tried before the transfer gives up. */
  readonly rounds: number;
  readonly progress: (progress: BringProgress) => void;
  readonly signal: AbortSignal;
}

export interface BringProgress {
  /** Groups of 512 KiB that are in the slot, of how many. */
  readonly done: number;
  readonly groups: number;
  /** Bytes on the wire, those of earlier runs included, and all that the plan takes. */
  readonly spent: number;
  readonly expected: number;
}

/**
 * Makes a component in the idle slot, or an app in its file, from what is there, what runs and the mirror have. What an earlier run wrote is found there. Throws what
 * `transfer` does.
 */
export async function bringComponent(
  component: InstallComponent,
  mirror: Mirror,
  { budget, journal, tree, stallMs, rounds, progress, signal }: BringOptions,
): Promise<TransferReport> {
  const { dataSize, rootHash, salt, device, running, payload, map, stream } = component;
  await using disk = await openSlot(device);
  await using source = await openSource(running);
  return await transfer({
    target: { dataBlocks: dataSize / BLOCK_SIZE, rootHash, salt: Buffer.from(salt, 'hex') },
    payload,
    ...(stream.size > 0 && { stream }),
    disk,
    tree,
    sources: source === undefined ? [disk] : [source, disk],
    maps: source === undefined || map.size === 0 ? [] : [{ source, ...map }],
    mirrors: [mirror],
    // A partition that is full keeps no update away, but nothing is spent of a budget that cannot be noted.
    journal:
      budget === undefined ? { ...journal, write: (bytes) => journal.write(bytes).catch(() => {}) } : journal,
    ...(budget === undefined ? {} : { budget }),
    timing: { stall: stallMs, rounds },
    onProgress: ({ done, groups, spent, remaining }) =>
      progress({ done, groups, spent, expected: spent + remaining }),
    signal,
  });
}

async function openSlot(path: string): Promise<DirectDisk> {
  try {
    return await DirectDisk.open({ name: basename(path), path, blocks: await countBlocks(path) });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MblError('device/slot-closed', `the slot cannot be written: ${why}`, { cause });
  }
}

/** Without the slot that runs more comes from the mirror. */
async function openSource(path: string): Promise<FileSource | undefined> {
  try {
    return await FileSource.open({ name: basename(path), path, blocks: await countBlocks(path) });
  } catch {
    return undefined;
  }
}

const maxJournalBytes = 1024;

/** A journal in a file. Node's permission model has no fsync. */
export function journalIn(path: string): JournalStore {
  return {
    async read() {
      const text = await readText(path, maxJournalBytes).catch(() => undefined);
      return text === undefined ? undefined : Buffer.from(text);
    },
    write: async (bytes) => await writeAtomic(path, Buffer.from(bytes).toString()),
  };
}

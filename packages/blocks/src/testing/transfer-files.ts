// SPDX-License-Identifier: Apache-2.0
//
// node transfer-files.ts ORDER: a transfer between files, as the order (JSON) says; a line for each group of blocks that is on the disk, the
// report at the end.
import { readFile } from 'node:fs/promises';
import { FileDisk, type FileExtent, FileJournal, FileSource } from '../file-devices.ts';
import { HttpMirror } from '../http-mirror.ts';
import type { PayloadFile } from '../payload/format.ts';
import { transfer } from '../transfer/transfer.ts';

export interface Order {
  readonly target: { readonly dataBlocks: number; readonly rootHash: string; readonly salt: string };
  readonly payload: PayloadFile;
  readonly disk: FileExtent;
  readonly running?: FileExtent;
  readonly stream?: { readonly file: string; readonly size: number };
  /** A copy map of the running slot. */
  readonly map?: { readonly file: string; readonly size: number };
  readonly url: string;
  readonly journal: string;
}

/** KiB that this process had at most. Its resource usage does not tell: that begins with what its parent had. */
export async function peakMemory(): Promise<number> {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1]);
}

if (import.meta.main) {
  const order = JSON.parse(process.argv[2] ?? '') as Order;
  await using disk = await FileDisk.open(order.disk);
  await using running = order.running && (await FileSource.open(order.running));
  await using mirror = new HttpMirror({ url: order.url });
  const report = await transfer({
    target: { ...order.target, salt: Buffer.from(order.target.salt, 'hex') },
    payload: order.payload,
    ...(order.stream && { stream: order.stream }),
    disk,
    sources: running ? [running, disk] : [],
    maps: running && order.map ? [{ source: running, ...order.map }] : [],
    mirrors: [mirror],
    journal: new FileJournal(order.journal),
    signal: AbortSignal.timeout(300_000),
    onProgress: ({ done, groups }) => process.stdout.write(`${done}/${groups}\n`),
  });
  process.stdout.write(`${JSON.stringify({ ...report, memory: await peakMemory() })}\n`);
}

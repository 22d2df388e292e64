// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import type { AppDescription } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { must } from '../../tests/support/apps/team.ts';
import { median, type Row } from '../support.ts';

/**
 * From an image that was fetched to one that is mounted, by the steps of the app manager, beside writing those bytes to the same file system until they
 * are on the disk. The release is installed: its image is what is copied.
 */
export async function installation(
  board: Board,
  built: readonly { readonly app: AppDescription }[],
  runs: number,
): Promise<Row[]> {
  const [large] = built;
  assert.ok(large !== undefined && built.length === 1);
  const { size, fsVerity } = large.app.image;
  const [image, copy, folder] = [
    `/data/apps/installed/images/${fsVerity}.erofs`,
    '/data/apps/incoming/bench',
    '/run/bench/large',
  ];
  const native = '/usr/lib/mbl/mbl-native';
  const script = [
    'set -e',
    `mkdir -p ${folder}`,
    `cat ${image} >/dev/null`,
    'a=$(date +%s%N)',
    `dd if=${image} of=${copy} bs=1M conv=fsync 2>/dev/null`,
    'b=$(date +%s%N)',
    // As in executor.ts: not there under its name, not sealed yet.
    `! ${native} verity measure ${copy}.none 2>/dev/null`,
    `! ${native} verity measure ${copy} 2>/dev/null`,
    `${native} verity enable ${copy}`,
    'c=$(date +%s%N)',
    `test $(${native} verity measure ${copy}) = ${fsVerity}`,
    `${native} app mount ${copy} ${fsVerity} ${folder}`,
    'd=$(date +%s%N)',
    `${native} app unmount ${folder}`,
    `rm ${copy}`,
    'sync',
    'e=$(date +%s%N)',
    `node -e "const {createHash}=require('crypto'),hash=createHash('sha256');require('fs').createReadStream('${image}',{highWaterMark:1<<20}).pipe(hash).on('finish',()=>hash.digest())"`,
    'f=$(date +%s%N)',
    'node -e 0',
    'g=$(date +%s%N)',
    'echo $((b - a)) $((c - b)) $((d - b)) $((f - e - (g - f)))',
  ].join('\n');
  const times: (readonly [write: number, seal: number, install: number, hash: number])[] = [];
  for (let run = 0; run < runs; run++) {
    const [write = Number.NaN, seal = Number.NaN, install = Number.NaN, hash = Number.NaN] = (
      await must(board, script)
    )
      .split(' ')
      .map((nanoseconds) => Number(nanoseconds) / 1e6);
    times.push([write, seal, install, hash]);
  }
  const of = (which: 0 | 1 | 2 | 3) => median(times.map((one) => one[which]));
  const megabytes = Math.round(size / 1e6);
  return [
    { name: `from fetched to mounted, an app of ${megabytes} MB`, value: of(2), unit: 'ms' },
    { name: '  of it: the tree of fs-verity', value: of(1), unit: 'ms' },
    { name: '  of it: one SHA-256 of those bytes, the least it takes (OpenSSL)', value: of(3), unit: 'ms' },
    { name: '  writing it to the same file system, with fsync', value: of(0), unit: 'ms' },
    { name: '  beside that', value: (100 * of(2)) / of(0), unit: '%', budget: 130 },
    { name: '  by the app manager, as a part of an order', value: await byManager(board), unit: 'ms' },
  ];
}

/** Milliseconds from the note that it installs to the one that it tries. */
async function byManager(board: Board): Promise<number> {
  const log = await must(board, 'journalctl -b -o short-unix -t mbl-apps');
  const at = (phase: string) =>
    Number(new RegExp(`^([0-9.]+) .* bench: ${phase} 1\\.1 -> 1\\.2$`, 'm').exec(log)?.[1]);
  return (at('try') - at('install')) * 1000;
}

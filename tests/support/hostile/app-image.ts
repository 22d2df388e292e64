// SPDX-License-Identifier: Apache-2.0
//
// The image of an app, made by hand: an erofs with the program that tries what it must not, on a board.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FsVerityHasher } from '@mbl/blocks';
import type { Board } from '@mbl/lab';
import { run } from '../attacks.ts';

export interface AppImageFile {
  /** On the board. */
  readonly path: string;
  /** What fs-verity has to give, computed here. */
  readonly digest: string;
}

/** Makes the erofs with `/probe` (probe.c) and `/secret` (mode 0600) in `folder`, and puts it to `path` on the board. */
export async function putAppImage(board: Board, folder: string, path: string): Promise<AppImageFile> {
  const root = join(folder, 'app');
  await compileProbe(join(root, 'probe'));
  for (const name of ['dev', 'proc', 'sys', 'tmp', 'run']) await mkdir(join(root, name));
  await writeFile(join(root, 'secret'), 'secret\n', { mode: 0o600 });
  const image = join(folder, 'app.erofs');
  await run('mkfs.erofs', ['--quiet', '-T0', '--all-root', image, root]);
  const bytes = await readFile(image);
  const put = await board.ssh(`cat >${path}`, { input: bytes, timeoutMs: 120_000 });
  assert.equal(put.code, 0, put.stderr);
  const hasher = new FsVerityHasher();
  hasher.update(bytes);
  return { path, digest: hasher.finish() };
}

/** `probe.c` for a board. */
export async function compileProbe(program: string): Promise<void> {
  await mkdir(dirname(program), { recursive: true });
  const flags = [
    ...['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-s'],
    '-fno-tree-loop-distribute-patterns',
  ];
  await run('aarch64-linux-gnu-gcc', [...flags, '-o', program, join(import.meta.dirname, 'probe.c')]);
}

// SPDX-License-Identifier: Apache-2.0
import { lstatSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Written last, so that a toolbox which has it was complete once; lists all files with what tells that they are as they were. */
const marker = 'complete';

interface Marker {
  /** Where the toolbox was made for: its programs name this place. */
  readonly root: string;
  /** Size in bytes and time of the last change, in milliseconds, by path. */
  readonly files: Readonly<Record<string, readonly [size: number, changed: number]>>;
}

/** Declares the toolbox in `folder` complete, which will stand at `root`. */
export async function markWhole(folder: string, root: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  const files = Object.fromEntries(paths.map((path) => [path, stateOf(join(folder, path))]));
  await writeFile(join(folder, marker), JSON.stringify({ root, files }));
}

/**
 * True when the toolbox at `root` was made for this place and none of its files is gone, or differs in size or time. Their content is not
 * read: it costs some milliseconds for each thousand files.
 */
export async function isWhole(root: string): Promise<boolean> {
  try {
    const made = JSON.parse(await readFile(join(root, marker), 'utf8')) as Marker;
    return (
      made.root === root &&
      Object.entries(made.files).every(([path, [size, changed]]) => {
        const now = stateOf(join(root, path));
        return now[0] === size && now[1] === changed;
      })
    );
  } catch {
    return false;
  }
}

function stateOf(path: string): readonly [size: number, changed: number] {
  const { size, mtimeMs } = lstatSync(path);
  return [size, mtimeMs];
}

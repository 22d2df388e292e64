// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { constants, lstat, mkdir, open, opendir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTree } from '../common/remove-tree.ts';

/** Something that the board had to do to come back. */
export interface Incident {
  /** `[a-z][a-z-]{0,31}`. */
  readonly kind: string;
  readonly detail: string;
  /** It is found again at every boot until somebody mends it: the same file each time. */
  readonly lasting?: boolean;
}

/** ARCHITECTURE.md, "Incidents". */
const kept = 32;
const longest = 200;
/** Of more files than this, which nobody here wrote, the others go whatever their age. */
const mostFiles = 1024;
const name = /^[a-z][a-z-]{0,31}-[0-9a-f]{8}$/;

/** Writes each incident as a file of `folder` that is on the disk once this resolved; the oldest go when there are too many. */
export async function keepIncidents(folder: string, incidents: readonly Incident[]): Promise<void> {
  if (incidents.length === 0) return;
  // Its owner is a service: nothing here follows a link that it, or somebody with the disk in hand, could have put there.
  await mkdir(folder, { mode: 0o755, recursive: true });
  // Before, so that what is written now is not among too many; and after.
  await dropOldest(folder);
  const partial = join(folder, '.new');
  for (const { kind, detail, lasting } of incidents) {
    const text = printable(detail);
    const id =
      lasting === true
        ? createHash('sha256').update(`${kind} ${text}`).digest('hex').slice(0, 8)
        : randomBytes(4).toString('hex');
    const path = join(folder, `${kind}-${id}`);
    if (await isThere(path)) continue;
    await removeTree(partial);
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    {
      await using file = await open(partial, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o644);
      await file.writeFile(`${text}\n`);
      await file.sync();
    }
    await rename(partial, path);
  }
  await dropOldest(folder);
  await using directory = await open(folder);
  await directory.sync();
}

/** Printable ASCII, 200 characters at most. */
function printable(detail: string): string {
  return detail.replaceAll(/[^ -~]+/g, ' ').slice(0, longest);
}

async function dropOldest(folder: string): Promise<void> {
  const files: { readonly file: string; readonly time: number }[] = [];
  // One by one: its owner, or somebody with the disk in hand, may have left more names than there is memory for.
  for await (const { name: file } of await opendir(folder)) {
    if (!name.test(file)) continue;
    if (files.length === mostFiles) await unlink(join(folder, file)).catch(() => undefined);
    else files.push({ file, time: (await lstat(join(folder, file))).mtimeMs });
  }
  const surplus = files.toSorted((a, b) => b.time - a.time).slice(kept);
  for (const { file } of surplus) await unlink(join(folder, file)).catch(() => undefined);
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

// SPDX-License-Identifier: Apache-2.0

/** One entry of an initramfs. `path` is relative, parents come first. */
export type CpioEntry =
  | { readonly path: string; readonly type: 'directory' }
  | { readonly path: string; readonly type: 'file'; readonly data: Uint8Array; readonly executable?: boolean }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string };

/** A cpio archive of format "newc", owner root, no times (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`). */
export function buildCpio(entries: readonly CpioEntry[]): Buffer {
  const chunks: Uint8Array[] = [];
  for (const [i, entry] of entries.entries())
    append(chunks, entry.path, modeOf(entry), contentOf(entry), i + 1);
  append(chunks, 'TRAILER!!!', 0, new Uint8Array(), 0);
  return Buffer.concat(chunks);
}

function modeOf(entry: CpioEntry): number {
  if (entry.type === 'directory') return 0o040755;
  if (entry.type === 'symlink') return 0o120777;
  return entry.executable ? 0o100755 : 0o100644;
}

function contentOf(entry: CpioEntry): Uint8Array {
  if (entry.type === 'file') return entry.data;
  return entry.type === 'symlink' ? Buffer.from(entry.target) : new Uint8Array();
}

function append(chunks: Uint8Array[], path: string, mode: number, data: Uint8Array, inode: number): void {
  const name = Buffer.from(`${path}\0`);
  // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  chunks.push(Buffer.from(header), name, padding(header.length + name.length), data, padding(data.length));
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}

// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, fstatSync, ftruncateSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';

/** open(2): every write goes to the end, wherever that is by then. */
const append = 0o2000;

/**
 * A writer to an open file that keeps it below `limit` bytes: what is in it goes to `<name>.previous<extension>` beside it, in the place of what was
 * there, and the file begins anew. It stays the same file, so that whoever else writes to it (a crash, to stderr) still reaches it. What is no
 * file, or was not opened to append, is written to without an end.
 */
export function boundedOutput(fd: number, limit: number): (text: string) => void {
  const path = rotatable(fd);
  let size = path === undefined ? 0 : fstatSync(fd).size;
  return (text) => {
    const bytes = Buffer.from(text);
    if (path !== undefined && size > 0 && size + bytes.length > limit) {
      const previous = join(dirname(path), `${basename(path, extname(path))}.previous${extname(path)}`);
      try {
        copyFileSync(path, previous);
      } catch {
        // A disk that is full must not get fuller.
      }
      ftruncateSync(fd);
      size = 0;
    }
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    size += bytes.length;
  };
}

function rotatable(fd: number): string | undefined {
  if (!fstatSync(fd).isFile()) return undefined;
  const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return Number.parseInt(flags, 8) & append ? readlinkSync(`/proc/self/fd/${fd}`) : undefined;
}

// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { MetadataStore, Source } from '../tuf/client.ts';

/** A repository in a folder, as a web server would serve it. Nothing outside of the folder is read. */
export function folderSource(folder: string, signal?: AbortSignal): Source {
  return {
    async open(path) {
      const parts = path.split('/').map(decodeURIComponent);
      if (parts.some((part) => part === '' || part.startsWith('.') || /[/\\\0]/.test(part))) return undefined;
      const stream = createReadStream(join(folder, ...parts), signal === undefined ? {} : { signal });
      try {
        await new Promise<void>((resolve, reject) => {
          stream.once('open', () => resolve());
          stream.once('error', reject);
        });
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
      return stream;
    },
  };
}

const longest = 4 << 20;

/** A store in a folder: each file is whole or is not there. */
export function folderStore(folder: string): MetadataStore {
  return {
    async read(name) {
      try {
        await using file = await open(join(folder, name), 'r');
        // Longer than any metadata: it is none of ours.
        return (await file.stat()).size > longest ? undefined : await file.readFile();
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async write(name, bytes) {
      await mkdir(folder, { recursive: true });
      const draft = join(folder, `.${process.pid}.tmp`);
      {
        await using file = await open(draft, 'w', 0o644);
        await file.writeFile(bytes);
        await file.sync();
      }
      await rename(draft, join(folder, name));
      await using directory = await open(folder, 'r');
      await directory.sync();
    },
  };
}

/** A store that forgets. */
export function memoryStore(files = new Map<string, Uint8Array>()): MetadataStore {
  return {
    read: (name) => Promise.resolve(files.get(name)),
    write(name, bytes) {
      files.set(name, bytes);
      return Promise.resolve();
    },
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

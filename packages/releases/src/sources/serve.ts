// SPDX-License-Identifier: Apache-2.0
import { constants, lstat, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** A repository that this process serves, until it is disposed. */
export interface ServedFolder extends AsyncDisposable {
  /** `http://127.0.0.1:<port>/` */
  readonly url: string;
  readonly port: number;
}

/**
 * Serves the repository in a folder to this machine alone, as any server of files would (RFC 9110, with ranges): plain files below
 * `metadata/` and `targets/`. No link is followed: a folder that somebody brought must not show what lies elsewhere.
 */
export async function serveFolder(folder: string): Promise<ServedFolder> {
  // Needed now and then: HTTP stays out of the way of a boot.
  const { createServer } = await import('node:http');
  const server = createServer((request, response) => {
    request.resume();
    void answer(folder, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(0, '127.0.0.1', listening);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET') {
    response.writeHead(405, { allow: 'GET' }).end();
    return;
  }
  const path = await plainFile(folder, request.url ?? '');
  if (path === undefined) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found\n');
    return;
  }
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const { size } = await file.stat();
  const range = rangeOf(request.headers.range, size);
  if (range === 'none') {
    response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size };
  response.writeHead(range === undefined ? 200 : 206, {
    'accept-ranges': 'bytes',
    'content-length': end - start,
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${size}` }),
  });
  if (start === end) response.end();
  else await pipeline(file.createReadStream({ start, end: end - 1, autoClose: false }), response);
}

/** The file that a request names; undefined where it is none, or a link is on the way to it. */
async function plainFile(folder: string, url: string): Promise<string | undefined> {
  const match = /^\/((?:metadata|targets)\/[^?#]+)$/.exec(url);
  const parts = match?.[1]?.split('/').map(decoded) ?? [];
  if (parts.length === 0) return undefined;
  let path = folder;
  for (const [i, part] of parts.entries()) {
    if (part === undefined || part === '' || part.startsWith('.') || /[/\\\0]/.test(part)) return undefined;
    path = join(path, part);
    const entry = await lstat(path).catch(() => undefined);
    if (entry === undefined || !(i === parts.length - 1 ? entry.isFile() : entry.isDirectory()))
      return undefined;
  }
  return path;
}

/** One range (RFC 9110 §14.1.2); undefined for the whole: what else is asked for may be left out (§14.2). */
function rangeOf(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'none' | undefined {
  const [, first, last] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === undefined) return undefined;
  const start = Number(first);
  const end = last === '' || last === undefined ? size : Math.min(size, Number(last) + 1);
  return start < end ? { start, end } : 'none';
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

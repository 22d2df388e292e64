// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import send from '@fastify/send';

/** Below it devices find the repository of releases, on the listener where they enrol. */
export const releasesPath = '/releases/';

/** What of a repository is for devices: signed metadata and targets, not what still waits for signatures. */
const published = /^(metadata|targets)\/([^?]+)/;

/** Bytes that are read from the disk at once: the more, the faster, and each transfer to a slow device holds twice that. */
const [readFew, readMany] = [1024 * 1024, 128 * 1024];
const few = 64;

/**
 * Serves the repository in `folder` as any server of files would (RFC 9110, ranges included). What is in it is signed, and checked by who
 * fetches it. Throws what reading throws.
 */
export function repositoryServer(
  folder: string,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  let running = 0;
  return async (request, response) => {
    running += 1;
    try {
      await serve(folder, request, response, running > few ? readMany : readFew);
    } finally {
      running -= 1;
    }
  };
}

async function serve(
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
  highWaterMark: number,
): Promise<void> {
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  const [, part, path] = published.exec((request.url ?? '').slice(releasesPath.length)) ?? [];
  if (part === undefined || path === undefined) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('Not found\n');
    return;
  }
  // What leaves this root is refused there. Metadata of one name may change with each signing: nobody keeps it.
  const { statusCode, headers, stream } = await send(request, path, {
    root: join(folder, part),
    index: false,
    dotfiles: 'ignore',
    cacheControl: false,
    highWaterMark,
  });
  response.writeHead(statusCode, headers);
  await pipeline(stream, response);
}

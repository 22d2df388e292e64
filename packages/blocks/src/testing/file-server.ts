// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

/** What nginx does for a static file: 206 for one range, 416 for one behind the end, 200 without, 404. `count` is told of the bytes. */
export function serveFiles(
  files: ReadonlyMap<string, Uint8Array>,
  count: (bytes: number) => void = () => {},
): RequestListener {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const name = decodeURIComponent(request.url?.split('/').at(-1) ?? '');
    const file = files.get(name);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (file === undefined) return void response.writeHead(404).end();
    if (range === null) return void response.writeHead(200).end(file);
    const [start, last] = [Number(range[1]), Math.min(Number(range[2]), file.length - 1)];
    if (start > last)
      return void response.writeHead(416, { 'content-range': `bytes */${file.length}` }).end();
    const length = last - start + 1;
    const headers = { 'content-range': `bytes ${start}-${last}/${file.length}`, 'content-length': length };
    response.writeHead(206, headers).end(file.subarray(start, last + 1));
    count(length);
  };
}

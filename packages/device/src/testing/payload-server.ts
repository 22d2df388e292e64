// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import {
  DIGEST_SIZE,
  DigestTable,
  FileSource,
  formatCopyMap,
  GroupHasher,
  matchBlocks,
  VerityHasher,
  writePayload,
} from '@mbl/blocks';
import type { InstallComponent } from '../platform/update.ts';

const blockBytes = 4096;

/** A component with its payload and a copy map, as a repository has them; `files` by their paths. */
export interface PublishedComponent {
  readonly image: Buffer;
  /** The image with its hash tree: what is in the slot in the end. */
  readonly whole: Buffer;
  readonly component: InstallComponent;
  readonly files: Map<string, Buffer>;
}

/**
 * Publishes random data of 300 blocks, of which the slot that runs has all but some in two places. Both partitions are files in `folder`, the idle one with
 * nothing of it.
 */
export async function publishComponent(folder: string): Promise<PublishedComponent> {
  const image = randomBytes(300 * blockBytes);
  const running = Buffer.concat([Buffer.from(image.subarray(blockBytes)), Buffer.alloc(51 * blockBytes)]);
  running.fill(1, 100 * blockBytes, 104 * blockBytes);
  const at = (name: string, bytes: Uint8Array): string => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const paths = { image: at('image', image), running: at('root_a', running) };
  const device = at('root_b', Buffer.alloc(400 * blockBytes, 0xa5));
  const salt = randomBytes(4);
  const tree = new VerityHasher(salt);
  tree.update(image);
  const { rootHash, tree: hashes, dataBlocks } = tree.finish();
  const target = { dataBlocks, rootHash, salt };
  await using source = await FileSource.open({ name: 'image', path: paths.image, blocks: dataBlocks });
  const pieces: Uint8Array[] = [];
  const made = await writePayload(source, target, async (piece) => void pieces.push(piece), { level: 1 });
  const payload = Buffer.concat(pieces);
  const digestsAt = payload.length - made.indexSize - dataBlocks * DIGEST_SIZE;
  await using old = await FileSource.open({ name: 'root_a', path: paths.running, blocks: 350 });
  const table = new DigestTable(payload.subarray(digestsAt, -made.indexSize));
  const runs = await matchBlocks(table, old, new GroupHasher(target), new AbortController().signal);
  const map = await formatCopyMap({ target: rootHash, source: '00'.repeat(32), runs });
  const whole = Buffer.concat([image, hashes]);
  return {
    image,
    whole,
    component: {
      name: 'root',
      device,
      running: paths.running,
      size: whole.length,
      sha256: '00',
      dataSize: image.length,
      rootHash,
      salt: salt.toString('hex'),
      payload: { file: 'targets/root.payload', ...made },
      map: { file: 'targets/map', size: map.length },
      stream: { file: '', size: 0 },
    },
    files: new Map([
      ['targets/root.payload', payload],
      ['targets/map', map],
    ]),
  };
}

/** A web server of files below `/mirror/`, ranges included; `count` is told of bytes that it gives. */
export function fileServer(
  files: { get(path: string): Buffer | undefined },
  count: (path: string, bytes: number) => void = () => undefined,
): RequestListener {
  return (request, response) => {
    const path = (request.url ?? '').replace('/mirror/', '');
    const file = files.get(path);
    if (file === undefined) return void response.writeHead(404).end();
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const [start, end] = range === null ? [0, file.length] : [Number(range[1]), Number(range[2]) + 1];
    const headers = { 'content-range': `bytes ${start}-${end - 1}/${file.length}` };
    count(path, end - start);
    response
      .writeHead(range === null ? 200 : 206, range === null ? {} : headers)
      .end(file.subarray(start, end));
  };
}

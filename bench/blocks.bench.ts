// SPDX-License-Identifier: Apache-2.0
//
// Bytes on the wire of block sync for pairs of real roots, as the server's socket counts them, beside the full image with zstd -19, RAUC's index and
// casync (where it is installed). Budgets: below each of them on every pair, and of a device that has nothing no more than the full image. And the device's memory and time.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  DigestTable,
  FileSource,
  formatCopyMap,
  GroupHasher,
  matchBlocks,
  type PayloadFile,
  treeSize,
  writePayload,
  writeStream,
} from '@mbl/blocks';
import { openLockedToolbox } from '@mbl/builder';
import { builtRoot, install, otherVersions, repacked, type Root } from './blocks/images.ts';
import { casyncSize, fullSize, raucSize } from './blocks/peers.ts';
import { report, root, type Row, run, scratch } from './support.ts';

interface Build {
  readonly tasks: readonly { readonly task: string; readonly folder: string }[];
}

const keys = process.env['MBL_KEYS'] ?? join(root, '.mbl/keys');
const cache = process.env['MBL_CACHE'] ?? join(process.env['HOME'] ?? '/root', '.cache/mbl');
const { signal } = new AbortController();
await using work = await scratch();
const at = (name: string): string => join(work.path, name);
const toolbox = await openLockedToolbox(join(root, 'os'), 'image', { cache });
process.env['PATH'] = [...toolbox.path, process.env['PATH']].join(':');

/** The root of an image, built from a folder of sources. */
async function build(cwd: string, image: string, name: string): Promise<Root> {
  const args = ['packages/cli/src/main.ts', 'build', '--image', image, '--keys', keys, '--json'];
  const { tasks } = JSON.parse(
    (await run(process.execPath, args, { cwd, env: { MBL_CACHE: cache } })).stdout,
  ) as Build;
  return await builtRoot(tasks.find(({ task }) => task === 'root')?.folder ?? '', at(name));
}

/** Files of the mirror, by name. */
const files = new Map<string, Uint8Array>();

interface PublishedRoot {
  readonly payload: PayloadFile;
  readonly stream: { readonly file: string; readonly size: number };
  readonly table: DigestTable;
}

async function publish(target: Root, name: string): Promise<PublishedRoot> {
  const salt = Buffer.from(target.salt, 'hex');
  await using image = await FileSource.open({ name, path: target.path, blocks: target.dataBlocks });
  const pieces: Uint8Array[] = [];
  const push = async (piece: Uint8Array): Promise<void> => void pieces.push(piece);
  const made = await writePayload(image, { ...target, salt }, push);
  const bytes = Buffer.concat(pieces);
  files.set(name, bytes);
  pieces.length = 0;
  const size = await writeStream(image, push, { signal });
  files.set(`${name}.stream`, Buffer.concat(pieces));
  const digestsAt = bytes.length - made.indexSize - target.dataBlocks * 32;
  return {
    payload: { file: name, ...made },
    stream: { file: `${name}.stream`, size },
    table: new DigestTable(bytes.subarray(digestsAt, -made.indexSize)),
  };
}

async function publishMap(from: Root, to: Root, table: DigestTable): Promise<{ file: string; size: number }> {
  const hasher = new GroupHasher({ ...to, salt: Buffer.from(to.salt, 'hex') });
  await using source = await FileSource.open({ name: 'old', path: from.path, blocks: from.dataBlocks });
  const runs = await matchBlocks(table, source, hasher, signal);
  const map = await formatCopyMap({ target: to.rootHash, source: from.rootHash, runs });
  files.set('map', map);
  return { file: 'map', size: map.length };
}

/** Bytes of each connection, both ways, when it has ended. */
let connections: Promise<number>[] = [];
/** What any server of files does with a range. */
const server = createServer((request, response) => {
  const file = files.get(request.url?.slice(1) ?? '') ?? Buffer.alloc(0);
  const [, first = 0, last = 0] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number);
  const headers = {
    'content-range': `bytes ${first}-${last}/${file.length}`,
    'content-length': last + 1 - first,
  };
  response.writeHead(206, headers).end(file.subarray(first, last + 1));
});
server.on('connection', (socket) => {
  connections.push(once(socket, 'close').then(() => socket.bytesRead + socket.bytesWritten));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

/** The device's side: the package's own process for its tests, with the memory that the cloud client has. */
const program = join(root, 'packages/blocks/src/testing/transfer-files.ts');
const unit = join(root, 'os/rootfs/device/usr/lib/systemd/system/mbl-cloud-client.service');
const limits = (await readFile(unit, 'utf8')).match(/--max-\S+/g) ?? [];

interface Result {
  readonly wire: number;
  readonly seconds: number;
  /** KiB. */
  readonly memory: number;
  readonly requests: number;
}

/** A transfer in a process of its own, into an empty slot. */
async function sync(
  from: Root | undefined,
  to: Root,
  { payload, stream }: PublishedRoot,
  map?: { file: string; size: number },
): Promise<Result> {
  const slot = at('slot');
  await rm(slot, { force: true });
  await writeFile(slot, '');
  const blocks = to.dataBlocks + treeSize(to.dataBlocks) / 4096;
  await truncate(slot, blocks * 4096);
  const order = {
    target: to,
    payload,
    stream,
    disk: { name: 'idle', path: slot, blocks },
    ...(from && { running: { name: 'running', path: from.path, blocks: from.dataBlocks } }),
    ...(map && { map }),
    url,
    journal: at(`journal-${Date.now()}`),
  };
  connections = [];
  const begin = performance.now();
  const { stdout } = await run(process.execPath, [...limits, program, JSON.stringify(order)]);
  const seconds = (performance.now() - begin) / 1000;
  server.closeAllConnections();
  const wire = (await Promise.all(connections)).reduce((sum, bytes) => sum + bytes, 0);
  const { memory, requests } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
  return { wire, seconds, memory, requests };
}

const development = await build(root, 'development', 'development.img');
const production = await build(root, 'production', 'production.img');
const clone = at('clone');
await run('git', ['clone', '-q', root, clone]);
await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
await appendFile(
  join(clone, 'packages/device/src/cloud-client/main.ts'),
  `\nconsole.log('changed ${Date.now()}');\n`,
);
const changed = await build(clone, 'development', 'changed.img');
const packages = await otherVersions(cache, join(root, 'os/locks/trixie/root-development.json'));
const same = async (): Promise<void> => {};
const again = await repacked(development, at('again.img'), at('again'), same);
let replaced = 0;
const older = await repacked(again, at('older.img'), at('older'), async (folder) => {
  replaced = await install(packages, folder, at('older'));
});

const idle = spawnSync(
  process.execPath,
  [
    ...limits,
    '-e',
    `import(${JSON.stringify(program)}).then(async ({ peakMemory }) => console.log(await peakMemory()))`,
  ],
  { encoding: 'utf8' },
);
const rows: Row[] = [];
const add = (name: string, value: number, unit: Row['unit'], budget?: number): void => {
  rows.push({ name, value, unit, ...(budget !== undefined && { budget }) });
  // A run takes minutes; what is known is shown.
  console.error(`${name}: ${value.toFixed(1)} ${unit}`);
};
const pairs: [string, Root, Root][] = [
  ['nothing', development, development],
  ['a line of device code', changed, development],
  ['from production to development', production, development],
  [`${packages.length} packages, ${replaced} files`, older, again],
];
/** Of all targets: they have the same files. */
const full = await fullSize(development, work.path);
const made = new Map<Root, PublishedRoot>();
for (const [name, from, to] of pairs) {
  const target = made.get(to) ?? (await publish(to, `payload-${made.size}`));
  made.set(to, target);
  const map = await publishMap(from, to, target.table);
  const peers = {
    'full image, zstd -19': full,
    'RAUC block-hash-index': await raucSize(from, to),
    casync: await casyncSize(from, to, at(`casync-${rows.length}`)),
  };
  const known = Object.values(peers).filter((size) => size !== undefined);
  const { wire: bytes, seconds, memory, requests } = await sync(from, to, target, map);
  add(`${name}: block sync, ${requests} requests`, bytes / 1e3, 'kB', Math.min(...known) / 1e3);
  add(`${name}: its copy map`, map.size / 1e3, 'kB');
  const without = await sync(from, to, target);
  add(`${name}: block sync without a copy map`, without.wire / 1e3, 'kB');
  for (const [peer, size] of Object.entries(peers))
    if (size === undefined) console.log(`${peer} is not installed`);
    else add(`${name}: ${peer}`, size / 1e3, 'kB');
  add(`${name}: time`, seconds, 's');
  add(`${name}: memory above idle`, (memory - Number(idle.stdout)) / 1000, 'MB', 32);
}
const target = made.get(development);
if (target !== undefined) {
  const nothing = await sync(undefined, development, target);
  // The same stream; beside it the index, and the headers of ten requests.
  add('a device that has nothing', nothing.wire / 1e3, 'kB', (full * 1.001) / 1e3);
  add(
    'a device that has nothing: memory above idle',
    (nothing.memory - Number(idle.stdout)) / 1000,
    'MB',
    32,
  );
}
server.close();
report(rows);

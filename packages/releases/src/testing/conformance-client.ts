// SPDX-License-Identifier: Apache-2.0
//
// The client as a program of tuf-conformance (its CLIENT-CLI.md): what that suite asks for on a command line, and nothing that decides
// anything. Run with `pytest tuf_conformance --entrypoint "node packages/releases/src/testing/conformance-client.ts"`.
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { folderStore } from '../sources/folder.ts';
import { httpSource } from '../sources/http.ts';
import { Client, type MetadataStore, type Source, type Target } from '../tuf/client.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'metadata-dir': { type: 'string' },
    'metadata-url': { type: 'string' },
    'target-name': { type: 'string', multiple: true },
    'target-base-url': { type: 'string' },
    'target-dir': { type: 'string' },
  },
});

const [command, root] = positionals;
const place = given(values['metadata-dir']);
const store = folderStore(place);

if (command === 'init') {
  await mkdir(place, { recursive: true });
  await copyFile(given(root), join(place, 'root.json'));
} else {
  const client = await open();
  if (command === 'download') for (const name of values['target-name'] ?? []) await download(client, name);
}

/** The suite has the newest root under one name; ours are kept by their versions. */
async function open(): Promise<Client> {
  const newest: MetadataStore = {
    read: (name) => (/^\d+\.root\.json$/.test(name) ? Promise.resolve(undefined) : store.read(name)),
    write: (name, bytes) => store.write(name.replace(/^\d+\.root\.json$/, 'root.json'), bytes),
  };
  const signal = AbortSignal.timeout(60_000);
  const metadata = httpSource(given(values['metadata-url']), signal);
  const targets =
    values['target-base-url'] === undefined ? undefined : httpSource(values['target-base-url'], signal);
  const source: Source = {
    async open(path) {
      const [kind, ...rest] = path.split('/');
      return await (kind === 'metadata' ? metadata : targets)?.open(rest.join('/'));
    },
  };
  return await Client.open({
    root: await readFile(join(place, 'root.json')),
    source,
    store: newest,
    now: new Date(),
  });
}

async function download(client: Client, name: string): Promise<void> {
  const target = await client.find(name);
  if (target === undefined) throw new Error(`nobody vouches for ${name}`);
  const folder = given(values['target-dir']);
  const file = join(folder, encodeURIComponent(name));
  if (await isThere(file, target)) return;
  const pieces: Uint8Array[] = [];
  for await (const piece of client.read(target)) pieces.push(piece);
  await mkdir(folder, { recursive: true });
  await writeFile(`${file}.tmp`, Buffer.concat(pieces));
  await rename(`${file}.tmp`, file).catch(async (error: unknown) => {
    await rm(`${file}.tmp`, { force: true });
    throw error;
  });
}

async function isThere(file: string, { length, hashes }: Target): Promise<boolean> {
  const { hash } = await import('node:crypto');
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes?.length !== length) return false;
  return Object.entries(hashes).every(([algorithm, value]) => hash(algorithm, bytes) === value);
}

function given(value: string | undefined): string {
  if (value === undefined) throw new Error('an argument is missing');
  return value;
}

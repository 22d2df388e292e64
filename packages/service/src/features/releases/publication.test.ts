// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { TestRepository } from '../../testing/repository.ts';
import { Incoming } from './incoming.ts';
import { Publication, type PublicationResult } from './publication.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** What a program sends of a repository, and a service that has none yet. */
async function beginning(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-published-'));
  const source = await TestRepository.open();
  t.after(async () => {
    await rm(folder, { recursive: true });
    await source[Symbol.asyncDispose]();
  });
  const incoming = new Incoming(folder, Date.now);
  let now = Date.now();
  const publication = new Publication(folder, { incoming, now: () => now });
  const offer = (from: string) =>
    publication.offer(new Map(metadataOf(from).map(({ name, digest }) => [name, digest])));
  /** Sends what is missing, but for files of these names. */
  async function publish(from = source.folder, keepBack: readonly string[] = []): Promise<PublicationResult> {
    const files = new Map(filesOf(from).map((path) => [sha256(readFileSync(path)), path]));
    for (let round = 0; ; round++) {
      const result = await offer(from);
      if (result.state === 'published') return result;
      const wanted = result.missing.filter(({ path }) => !keepBack.some((name) => path.endsWith(name)));
      if (wanted.length === 0 || round === 3) return result;
      for (const { sha256: digest } of wanted) {
        const path = files.get(digest);
        assert.ok(path, digest);
        await incoming.add(digest, readFileSync(path), { offset: 0, last: true });
      }
    }
  }
  const served = () =>
    filesOf(folder)
      .map((path) => path.slice(folder.length + 1))
      .toSorted();
  const later = (days: number) => (now += days * 86_400_000);
  return { folder, source, incoming, publish, offer, served, later };
}

function metadataOf(folder: string) {
  return readdirSync(join(folder, 'metadata'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, digest: sha256(readFileSync(join(folder, 'metadata', name))) }));
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\/(metadata|targets)(\/|$)/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name));
}

test('a repository is served when all of it is there, and its next states after it', async (t) => {
  const { source, publish, offer, served, folder } = await beginning(t);
  await source.release('1.0');
  const first = await offer(source.folder);
  assert.equal(first.state, 'incomplete');
  const done = await publish();
  assert.deepEqual(done.state === 'published' && done.metadata.at(-1), 'timestamp.json');
  const all = () =>
    filesOf(source.folder)
      .map((path) => path.slice(source.folder.length + 1))
      .toSorted();
  assert.deepEqual(served(), all());
  assert.deepEqual(readdirSync(join(folder, 'incoming')), [], 'nothing is left over');
  assert.deepEqual(await publish(), { state: 'published', metadata: [] }, 'twice is once');
  await source.release('1.1');
  const next = await publish();
  assert.deepEqual(next.state === 'published' && next.metadata, [
    '2.os.json',
    '2.snapshot.json',
    'timestamp.json',
  ]);
  assert.deepEqual(served(), all());
});

test('nothing is served by halves', async (t) => {
  const { source, publish, served } = await beginning(t);
  await source.release('1.0');
  await publish();
  const before = served();
  await source.release('1.1');
  const result = await publish(source.folder, ['kernel.itb']);
  assert.deepEqual(
    result.state === 'incomplete' && result.missing.map(({ path }) => basename(path).slice(65)),
    ['kernel.itb'],
  );
  assert.deepEqual(served(), before);
  assert.equal((await publish()).state, 'published');
});

test('what a device would refuse is refused, and changes nothing', async (t) => {
  const { source, publish, served, later, folder } = await beginning(t);
  const other = await TestRepository.open();
  t.after(() => other[Symbol.asyncDispose]());
  await source.release('1.0');
  const old = `${folder}-old`;
  t.after(() => rmSync(old, { recursive: true }));
  cpSync(source.folder, old, { recursive: true });
  await publish();
  await source.release('1.1');
  await publish();
  const before = served();
  const refused = async (from: string, code: string) => {
    await assert.rejects(publish(from), (error: { type: string; fields: { message: string }[] }) => {
      assert.deepEqual([error.type, error.fields[0]?.message], ['validation_error', code]);
      return true;
    });
    assert.deepEqual(served(), before);
  };
  // Metadata of before; of somebody else; with a byte changed; after its term.
  await refused(old, 'release/rolled-back');
  await other.release('1.2');
  await refused(other.folder, 'release/unsigned');
  await source.release('1.2');
  const broken = join(source.folder, 'metadata/3.os.json');
  const whole = readFileSync(broken);
  writeFileSync(broken, Buffer.concat([whole.subarray(0, -1), Buffer.from(' ')]));
  await refused(source.folder, 'release/wrong-content');
  writeFileSync(broken, whole);
  later(40);
  await refused(source.folder, 'release/expired');
});

test("releases of apps are served beside those of the operating system, each judged as a device judges its team's", async (t) => {
  const { source, publish, served } = await beginning(t);
  await source.release('1.0');
  await source.apps('weather', '1.0');
  assert.equal((await publish()).state, 'published');
  const before = served();
  assert.ok(before.some((path) => path.startsWith('targets/apps/weather/components/')));
  // What a device is to hold the app against is of another app.
  await source.apps('weather', '2.0', { name: 'display' });
  await assert.rejects(publish(), (error: { fields: { message: string }[] }) => {
    assert.equal(error.fields[0]?.message, 'release/mixed-up');
    return true;
  });
  assert.deepEqual(served(), before);
});

test('a copy of the repository that went another way does not take the place of what is served', async (t) => {
  const { source, publish, served, folder } = await beginning(t);
  await source.release('1.0');
  const copy = await source.copy();
  t.after(() => copy[Symbol.asyncDispose]());
  await source.release('1.1');
  await publish();
  const before = served();
  await copy.release('1.1', { notes: 'Another 1.1' });
  await assert.rejects(publish(copy.folder), /another timestamp\.json/);
  await copy.release('1.2');
  await assert.rejects(publish(copy.folder), { fields: [{ name: 'metadata', message: 'release/forked' }] });
  assert.deepEqual(served(), before);
  assert.deepEqual(await publish(), { state: 'published', metadata: [] });
  assert.ok(folder);
});

test('what a publication left that broke off is written over', async (t) => {
  const { source, publish, folder } = await beginning(t);
  await source.release('1.0');
  await publish();
  await source.release('1.1');
  writeFileSync(join(folder, 'metadata/2.os.json'), 'half of it');
  assert.equal((await publish()).state, 'published');
});

test('a file comes in pieces, goes on after a break, and is what its name says', async (t) => {
  const { folder } = await beginning(t);
  let ahead = 0;
  const incoming = new Incoming(folder, () => Date.now() + ahead);
  const content = Buffer.from('0123456789');
  const digest = sha256(content);
  const send = (from: number, to: number, last = to === content.length) =>
    incoming.add(digest, content.subarray(from, to), { offset: from, last });
  await send(0, 4);
  await assert.rejects(send(5, 10), { type: 'conflict', message: /has 4 bytes/ });
  await assert.rejects(send(0, 4), { type: 'conflict' });
  assert.equal(await incoming.received(digest), 4);
  assert.equal(await incoming.whole(digest), undefined);
  await send(4, 10);
  assert.ok(await incoming.whole(digest));
  await send(0, 10);
  const wrong = 'ab'.repeat(32);
  await assert.rejects(incoming.add(wrong, content, { offset: 0, last: true }), { type: 'validation_error' });
  assert.equal(await incoming.received(wrong), 0);
  await incoming.forget();
  assert.ok(await incoming.whole(digest));
  ahead = 25 * 3_600_000;
  await incoming.forget();
  assert.deepEqual(readdirSync(join(folder, 'incoming')), []);
});

// SPDX-License-Identifier: Apache-2.0
//
// Who may sign: thresholds, teams, and keys that change.
import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { folderSource, memoryStore } from '../sources/folder.ts';
import { later, lyingSource, newSigner, now, SyntheticRepository } from '../testing/synthetic-repository.ts';
import { addSignature, bytesToSign, formatMetadata, makeMetadata } from '../tuf/metadata.ts';
import { addTargets, changeRole, renew } from './edit.ts';
import { readRepository, writeStaged } from './folder.ts';
import { publish } from './publish.ts';
import { nextRoot } from './roles.ts';
import { attachSignature, exportToSign, progressOf, signStaged } from './sign.ts';

const sha256 = 'ab'.repeat(32);
const file = (path: string) => ({ path, length: 1, sha256 });

test('what has too few signatures waits, and nothing of it is published', async () => {
  await using repository = await SyntheticRepository.open();
  const { state } = repository;
  const [second, third] = [await newSigner(), await newSigner('ec')];
  changeRole(state, 'os', { add: [second.key, third.key], threshold: 2 }, now);
  await repository.release('1.0');
  const first = await repository.sign([...repository.signers]);
  assert.deepEqual(first.waiting, ['os']);
  assert.deepEqual(
    progressOf(state).filter(({ role }) => role === 'os'),
    [{ role: 'os', version: 1, signatures: 1, threshold: 2, complete: false }],
  );
  assert.deepEqual((await readdir(join(repository.folder, 'metadata'))).length, 4);
  // The same key once more is the same key.
  assert.deepEqual((await repository.sign()).waiting, ['os']);
  const read = await readRepository(repository.folder);
  assert.deepEqual(progressOf(read), progressOf(state));
  assert.deepEqual((await repository.sign([...repository.signers, third])).waiting, []);
  assert.ok(await (await repository.client()).find('os/releases/1.0.json'));
});

test('a device counts keys, not signatures: a role that lacks one is refused', async () => {
  await using repository = await SyntheticRepository.open();
  const second = await newSigner();
  changeRole(repository.state, 'timestamp', { add: [second.key], threshold: 2 }, now);
  await repository.sign([...repository.signers, second]);
  await repository.client();
  const timestamp = JSON.parse(
    await readFile(join(repository.folder, 'metadata/timestamp.json'), 'utf8'),
  ) as { signatures: { keyid: string; sig: string }[]; signed: object };
  const offer = async (signatures: typeof timestamp.signatures) => {
    const lie = Buffer.from(JSON.stringify({ ...timestamp, signatures }));
    const source = lyingSource(folderSource(repository.folder), { 'metadata/timestamp.json': lie });
    await repository.client({ source });
  };
  const [one, two] = timestamp.signatures;
  assert.ok(one !== undefined && two !== undefined);
  await offer([one, two]);
  await assert.rejects(offer([one]), { code: 'release/unsigned', message: /1\/2/ });
  await assert.rejects(offer([one, one]), { code: 'release/bad-metadata' });
  await assert.rejects(offer([one, { ...two, sig: one.sig }]), { code: 'release/unsigned' });
  await offer([one, two, { keyid: '00'.repeat(32), sig: 'ff' }]);
});

test('a key under two ids does not reach a threshold', async () => {
  await using repository = await SyntheticRepository.open();
  const { root, timestamp } = repository.keys;
  const signed = nextRoot(repository.state).signed.toJSON() as {
    keys: Record<string, object>;
    roles: Record<string, object>;
  };
  const twin = 'ee'.repeat(32);
  const copy = structuredClone(signed);
  copy.keys[twin] = timestamp.key.json;
  copy.roles['timestamp'] = { keyids: [timestamp.key.id, twin], threshold: 2 };
  const next = makeMetadata('root', { ...copy, version: 2 });
  addSignature(next, root.key.id, await root.signer.sign(bytesToSign(next)));
  const honest = JSON.parse(await readFile(join(repository.folder, 'metadata/timestamp.json'), 'utf8')) as {
    signatures: { sig: string }[];
  };
  const both = [timestamp.key.id, twin].map((keyid) => ({ keyid, sig: honest.signatures[0]?.sig }));
  const source = lyingSource(folderSource(repository.folder), {
    'metadata/2.root.json': formatMetadata(next),
    'metadata/timestamp.json': Buffer.from(JSON.stringify({ ...honest, signatures: both })),
  });
  await assert.rejects(repository.client({ source }), { code: 'release/unsigned', message: /listed twice/ });
});

test('the team of an app signs its app and nothing else', async () => {
  await using repository = await SyntheticRepository.open();
  const { state } = repository;
  const team = await newSigner();
  changeRole(state, 'thermostat', { add: [team.key] }, now);
  await repository.release('1.0');
  await repository.sign();
  const own = 'apps/thermostat/releases/1.json';
  // Whatever the team writes into its own role: paths of others lead to others.
  addTargets(state, 'thermostat', [own, 'os/releases/2.0.json', 'apps/other/releases/1.json'].map(file), now);
  await repository.sign([...repository.signers, team]);
  const client = await repository.client();
  assert.equal((await client.find(own))?.role, 'thermostat');
  assert.equal(await client.find('os/releases/2.0.json'), undefined);
  assert.equal(await client.find('apps/other/releases/1.json'), undefined);
  assert.deepEqual(
    (await client.list()).filter(({ role }) => role === 'thermostat').map(({ path }) => path),
    [own],
  );
  // Its key under the name of the team of the operating system.
  addTargets(state, 'os', [file('os/releases/2.0.json')], now);
  await signStaged(state, [team]);
  assert.deepEqual((await publish(state, { signers: repository.signers, now })).waiting, ['os']);
  const forged = state.staged.get('os');
  assert.ok(forged !== undefined);
  addSignature(forged, team.key.id, await team.signer.sign(bytesToSign(forged)));
  assert.deepEqual((await publish(state, { signers: repository.signers, now })).waiting, ['os']);
  assert.throws(() => addTargets(state, 'nobody', [file('apps/nobody/releases/1.json')], now), {
    code: 'release/unknown-team',
  });
});

test('a root follows a root: none is skipped, and both the keys before and after must sign', async () => {
  await using repository = await SyntheticRepository.open();
  const born = repository.root;
  const { state } = repository;
  const [a, b] = [await newSigner(), await newSigner('ec')];
  const old = repository.keys.root;
  changeRole(state, 'root', { add: [a.key], remove: [old.key.id.slice(0, 12)] }, now);
  assert.deepEqual((await repository.sign()).waiting, ['root'], 'the keys before alone');
  delete state.staged.get('root')?.signatures[old.key.id];
  assert.deepEqual(
    (await repository.sign([a, repository.keys.snapshot, repository.keys.timestamp])).waiting,
    ['root'],
    'the keys after alone',
  );
  assert.deepEqual((await repository.sign([...repository.signers, a])).waiting, []);
  changeRole(state, 'root', { add: [b.key], remove: [a.key.id] }, now);
  await repository.sign([...repository.signers, a, b]);
  const store = memoryStore();
  const client = await repository.client({ store });
  assert.equal(client.trusted.root.signed.version, 3);
  assert.equal((await repository.client({ root: born })).trusted.root.signed.version, 3);
  // What the device has kept is enough, and is verified from the root that it was born with.
  const fetched: string[] = [];
  const source = folderSource(repository.folder);
  const watched = { open: (path: string) => (fetched.push(path), source.open(path)) };
  await repository.client({ store, source: watched });
  assert.deepEqual(fetched, ['metadata/4.root.json', 'metadata/timestamp.json']);
  const third = await readFile(join(repository.folder, 'metadata/3.root.json'));
  const offer = async (lies: Record<string, Uint8Array | undefined>) =>
    await repository.client({ source: lyingSource(source, lies) });
  await assert.rejects(offer({ 'metadata/2.root.json': third }), { code: 'release/unsigned' });
  // Signed by both, and a version too far.
  const skip = makeMetadata('root', { ...nextRoot(state).signed.toJSON(), version: 3 });
  for (const { key, signer } of [old, b]) addSignature(skip, key.id, await signer.sign(bytesToSign(skip)));
  await assert.rejects(offer({ 'metadata/2.root.json': formatMetadata(skip) }), {
    code: 'release/rolled-back',
  });
  const alone = makeMetadata('root', { ...nextRoot(state).signed.toJSON(), version: 2 });
  addSignature(alone, old.key.id, await old.signer.sign(bytesToSign(alone)));
  await assert.rejects(offer({ 'metadata/2.root.json': formatMetadata(alone) }), {
    code: 'release/unsigned',
  });
  // A root in the store that nobody signed is not believed: the chain is fetched.
  await store.write('2.root.json', formatMetadata(alone));
  assert.equal((await repository.client({ store })).trusted.root.signed.version, 3);
});

test('a key that was rotated away signs nothing any more, and devices go on', async () => {
  await using repository = await SyntheticRepository.open();
  const { state } = repository;
  const store = memoryStore();
  const os = repository.keys.targets;
  await repository.release('1.0');
  await repository.sign();
  await repository.client({ store });
  for (const role of ['timestamp', 'snapshot', 'targets', 'os'] as const) {
    const fresh = await newSigner();
    const gone = role === 'os' ? os : repository.keys[role];
    const before = await readFile(join(repository.folder, 'metadata/timestamp.json'));
    changeRole(state, role, { add: [fresh.key], remove: [gone.key.id] }, now);
    // The new key alone does not make the change: those above sign it, and what the change outdates is staged with it.
    const without = await publish(state, { signers: repository.signers, now });
    assert.ok(without.waiting.length > 0, role);
    const signers = [...repository.signers, os, fresh];
    assert.deepEqual((await repository.sign(signers)).waiting, [], role);
    const client = await repository.client({ store });
    assert.ok(await client.find('os/releases/1.0.json'), role);
    if (role === 'timestamp') {
      const source = lyingSource(folderSource(repository.folder), { 'metadata/timestamp.json': before });
      await assert.rejects(repository.client({ source }), { code: 'release/unsigned' });
    }
    if (role !== 'os') Object.assign(repository.keys, { [role]: fresh });
  }
});

test('a stolen timestamp key that ran far ahead is overtaken by a new key', async () => {
  await using repository = await SyntheticRepository.open();
  const { state } = repository;
  const store = memoryStore();
  const thief = repository.keys.timestamp;
  const far = makeMetadata('timestamp', {
    ...state.published.get('timestamp')?.signed.toJSON(),
    version: 1_000_000,
  });
  addSignature(far, thief.key.id, await thief.signer.sign(bytesToSign(far)));
  const source = lyingSource(folderSource(repository.folder), {
    'metadata/timestamp.json': formatMetadata(far),
  });
  await repository.client({ store, source });
  await assert.rejects(repository.client({ store }), { code: 'release/rolled-back' });
  const fresh = await newSigner();
  changeRole(state, 'timestamp', { add: [fresh.key], remove: [thief.key.id] }, now);
  await repository.sign([...repository.signers, fresh]);
  await repository.client({ store });
});

test('a signature made elsewhere counts when it is over the exported bytes by a key of the role', async () => {
  await using repository = await SyntheticRepository.open();
  const { state, keys } = repository;
  await repository.release('1.0');
  const bytes = exportToSign(state, 'os');
  const signature = await keys.targets.signer.sign(bytes);
  assert.throws(() => attachSignature(state, 'os', keys.snapshot.key.id, signature), {
    code: 'release/foreign-key',
  });
  assert.throws(() => attachSignature(state, 'os', keys.targets.key.id, Buffer.alloc(64)), {
    code: 'release/bad-signature',
  });
  assert.equal(progressOf(state)[0]?.signatures, 0);
  attachSignature(state, 'os', keys.targets.key.id, signature);
  // A wrong one does not take the place of one that is right.
  assert.throws(() => attachSignature(state, 'os', keys.targets.key.id, Buffer.alloc(64)), {
    code: 'release/bad-signature',
  });
  assert.equal(progressOf(state)[0]?.complete, true);
  assert.throws(() => exportToSign(state, 'targets'), { code: 'release/nothing-staged' });
  // Whoever changes what was signed has to have it signed again.
  await repository.release('1.1', { seed: 2 });
  assert.equal(progressOf(state)[0]?.signatures, 0);
});

test('who signs snapshot and timestamp elsewhere finds them staged, and other content makes them anew', async () => {
  await using repository = await SyntheticRepository.open();
  const { state, keys } = repository;
  await repository.release('1.0');
  assert.deepEqual((await repository.sign([keys.targets])).waiting, ['snapshot']);
  assert.deepEqual((await repository.sign([keys.snapshot])).waiting, ['timestamp']);
  const named = state.staged.get('timestamp')?.signed.toJSON();
  await repository.release('1.1', { seed: 2 });
  await repository.sign([keys.targets, keys.snapshot]);
  assert.notDeepEqual(state.staged.get('timestamp')?.signed.toJSON(), named);
  assert.deepEqual((await repository.sign([keys.timestamp])).waiting, []);
  assert.equal(
    (await (await repository.client()).list()).filter(({ path }) => path.includes('releases')).length,
    2,
  );
  assert.equal(state.staged.size, 0);
});

test('a repository that is renewed in time holds for another term', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.sign();
  await repository.sign(repository.signers, later(360));
  await assert.rejects(repository.client({ now: later(366) }), {
    code: 'release/expired',
    message: /targets/,
  });
  renew(repository.state, later(360));
  await repository.sign(repository.signers, later(360));
  const client = await repository.client({ now: later(366) });
  assert.ok(await client.find('os/releases/1.0.json'));
  assert.equal(client.trusted.root.signed.version, 2);
});

test('a change that nobody could satisfy is refused', async () => {
  await using repository = await SyntheticRepository.open();
  const { state, keys } = repository;
  const refused = (role: string, change: Parameters<typeof changeRole>[2]) =>
    assert.throws(() => changeRole(state, role, change, now), { code: 'release/bad-role' }, role);
  refused('root', { threshold: 2 });
  refused('root', { threshold: 0 });
  refused('root', { remove: [keys.root.key.id] });
  refused('root', { remove: ['ffff'] });
  refused('thermostat', {});
  refused('Not A Team', { add: [keys.root.key] });
  assert.equal(state.staged.size, 0);
});

test('a repository whose files were taken away is not signed on', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.sign();
  await rm(join(repository.folder, 'metadata/1.os.json'));
  await assert.rejects(readRepository(repository.folder), {
    code: 'release/missing',
    message: /1\.os\.json/,
  });
  assert.equal((await readRepository(join(repository.folder, 'nothing'))).published.size, 0);
  await writeStaged(repository.folder, repository.state);
});

test('what is signed never changes under its name, and a role that was in a snapshot stays in it', async () => {
  await using repository = await SyntheticRepository.open();
  const { state } = repository;
  await repository.release('1.0');
  await repository.sign();
  addTargets(state, 'os', [{ ...file('os/releases/2.0.json'), sha256: 'cd'.repeat(32) }], now);
  assert.throws(() => addTargets(state, 'os', [file('os/releases/2.0.json')], now), {
    code: 'release/exists',
  });
  state.staged.clear();
  const store = memoryStore();
  await repository.client({ store });
  // Devices refuse a snapshot that has lost a role, even one whose team is gone.
  const targets = {
    ...state.published.get('targets')?.signed.toJSON(),
    version: 2,
    delegations: { keys: {}, roles: [] },
  };
  state.staged.set('targets', makeMetadata('targets', targets));
  assert.deepEqual((await repository.sign()).waiting, []);
  assert.equal(await (await repository.client({ store })).find('os/releases/1.0.json'), undefined);
});

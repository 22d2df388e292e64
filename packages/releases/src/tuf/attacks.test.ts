// SPDX-License-Identifier: Apache-2.0
//
// What a mirror, a captured service or somebody on the network may offer. None of it is believed.
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { folderSource, memoryStore } from '../sources/folder.ts';
import { forge, kindOf, metadataFiles, offered, published, read, resealed } from '../testing/forge.ts';
import { later, lyingSource, newSigner } from '../testing/synthetic-repository.ts';
import type { MetadataStore } from './client.ts';
import type { MetadataSigner } from './keys.ts';
import { addSignature, formatMetadata, readMetadata } from './metadata.ts';

test('metadata without a signature, with one of another key or of other bytes is refused, whichever role it is', async () => {
  await using repository = await published();
  const stranger = await newSigner();
  await offered(repository, {});
  for (const role of ['timestamp', 'snapshot', 'targets', 'os'] as const) {
    const bytes = await read(repository, metadataFiles[role]);
    const honest = repository.keys[role === 'os' ? 'targets' : role];
    // A digest guards the three below the timestamp; so the timestamp and the snapshot are forged along, as if their keys were stolen.
    const offer = async (forged: Uint8Array) =>
      await offered(repository, await resealed(repository, role, forged));
    await offer(await forge(role, bytes, [honest]));
    const refused = { code: 'release/unsigned' };
    await assert.rejects(offer(await forge(role, bytes, [])), refused, role);
    await assert.rejects(offer(await forge(role, bytes, [stranger])), refused, role);
    await assert.rejects(offer(await forge(role, bytes, [repository.keys.root])), refused, role);
    const other = readMetadata(kindOf(role), bytes, role);
    addSignature(other, honest.key.id, await honest.signer.sign(Buffer.from('other bytes')));
    await assert.rejects(offer(formatMetadata(other)), refused, role);
  }
});

test('a root that has no signature of its own is no start', async () => {
  await using repository = await published();
  const stranger = await newSigner();
  for (const signers of [[], [stranger], [repository.keys.targets]]) {
    const root = await forge('root', repository.root, signers);
    await assert.rejects(repository.client({ root }), { code: 'release/unsigned' });
  }
  await assert.rejects(repository.client({ root: await read(repository, 'timestamp.json') }), {
    code: 'release/bad-metadata',
  });
});

test('a file without a digest that is known, or of another length, is refused', async () => {
  await using repository = await published();
  const bytes = await read(repository, '1.os.json');
  for (const hashes of [{}, { md5: '00' }, { sha256: 'AB'.repeat(32) }, { sha256: '' }]) {
    const forged = await forge('os', bytes, [repository.keys.targets], (signed) => {
      signed.targets['os/releases/1.0.json'] = { length: 1, hashes };
    });
    await assert.rejects(offered(repository, await resealed(repository, 'os', forged)), {
      code: 'release/bad-metadata',
      message: /no SHA-256/,
    });
  }
  const client = await repository.client();
  const target = await client.find('os/releases/1.0.json');
  assert.ok(target !== undefined);
  await buffer(client.read(target));
  await assert.rejects(buffer(client.read({ ...target, length: target.length + 1 })), {
    code: 'release/wrong-content',
  });
});

test('a role that two roles name is believed by each only for the keys that it gives', async () => {
  await using repository = await published();
  const { targets } = repository.keys;
  const stranger = await newSigner();
  const role = (name: string, key: MetadataSigner, paths: string[]) => ({
    name,
    keyids: [key.key.id],
    threshold: 1,
    terminating: false,
    paths,
  });
  const file = (name: string, content: object) =>
    forge('targets', Buffer.from(JSON.stringify(content)), [targets]).then((bytes) => ({ name, bytes }));
  const below = (key: MetadataSigner, paths: string[]) => ({
    signatures: [],
    signed: {
      ...head,
      targets: {},
      delegations: { keys: { [key.key.id]: key.key.json }, roles: [role('shared', key, paths)] },
    },
  });
  const head = { _type: 'targets', spec_version: '1.0.31', version: 1, expires: '2028-01-01T00:00:00Z' };
  const files = [
    await file('a', below(targets, ['x/*'])),
    await file('b', below(stranger, ['y/*'])),
    await file('shared', {
      signatures: [],
      signed: { ...head, targets: { 'y/1': { length: 1, hashes: { sha256: 'ab'.repeat(32) } } } },
    }),
  ];
  const above = {
    signatures: [],
    signed: {
      ...head,
      targets: {},
      delegations: {
        keys: { [targets.key.id]: targets.key.json },
        roles: [role('a', targets, ['x/*']), role('b', targets, ['y/*'])],
      },
    },
  };
  const top = await forge('targets', Buffer.from(JSON.stringify(above)), [targets]);
  const lies = await resealed(repository, 'targets', top, files);
  const source = lyingSource(
    folderSource(repository.folder),
    Object.fromEntries(Object.entries(lies).map(([name, bytes]) => [`metadata/${name}`, bytes])),
  );
  const client = await repository.client({ source });
  assert.equal(await client.find('x/1'), undefined);
  // `shared` is loaded now, by the way of a. By the way of b it needs the stranger's signature, which it does not have.
  await assert.rejects(client.find('y/1'), { code: 'release/unsigned' });
});

test('metadata whose term is over is refused: a mirror cannot hold a fleet where it is', async () => {
  await using repository = await published();
  const at = async (days: number) => await repository.client({ now: later(days) });
  await at(29);
  await assert.rejects(at(31), { code: 'release/expired', message: /timestamp/ });
  // Each role by itself: what is above it holds longer.
  for (const [role, key] of [
    ['snapshot', 'snapshot'],
    ['targets', 'targets'],
    ['os', 'targets'],
  ] as const) {
    const bytes = await read(repository, metadataFiles[role]);
    const over = await forge(
      role,
      bytes,
      [repository.keys[key]],
      (signed) => (signed.expires = '2027-01-15T11:59:59Z'),
    );
    await assert.rejects(offered(repository, await resealed(repository, role, over)), {
      code: 'release/expired',
      message: new RegExp(role),
    });
  }
  const root = await forge('root', repository.root, [repository.keys.root], (signed) => {
    signed.version = 2;
    signed.expires = '2027-01-15T11:59:59Z';
  });
  await assert.rejects(offered(repository, { '2.root.json': root }), {
    code: 'release/expired',
    message: /root/,
  });
});

test('old metadata that is replayed is refused by whoever has seen newer', async () => {
  await using repository = await published();
  const old = join(repository.folder, 'old');
  await cp(join(repository.folder, 'metadata'), join(old, 'metadata'), { recursive: true });
  await repository.release('1.1', { seed: 2 });
  await repository.sign();
  const store = memoryStore();
  await repository.client({ store });
  await assert.rejects(repository.client({ store, source: folderSource(old) }), {
    code: 'release/rolled-back',
  });
  await repository.client({ source: folderSource(old) });
  // A timestamp that is new, and names an old snapshot.
  const timestamp = await forge(
    'timestamp',
    await read(repository, 'timestamp.json'),
    [repository.keys.timestamp],
    (signed) => {
      signed.version = 9;
      signed.meta['snapshot.json'] = { version: 2 };
    },
  );
  await assert.rejects(offered(repository, { 'timestamp.json': timestamp }, store), {
    code: 'release/rolled-back',
    message: /snapshot/,
  });
  // A new snapshot that names an old role, or has lost one.
  for (const change of [
    (meta: Record<string, object>) => (meta['os.json'] = { version: 1 }),
    (meta: Record<string, object>) => delete meta['os.json'],
  ]) {
    const snapshot = await forge(
      'snapshot',
      await read(repository, '3.snapshot.json'),
      [repository.keys.snapshot],
      (signed) => {
        signed.version = 4;
        change(signed.meta);
      },
    );
    const naming = await forge(
      'timestamp',
      await read(repository, 'timestamp.json'),
      [repository.keys.timestamp],
      (signed) => {
        signed.version = 9;
        signed.meta['snapshot.json'] = { version: 4 };
      },
    );
    await assert.rejects(
      offered(repository, { 'timestamp.json': naming, '4.snapshot.json': snapshot }, await seen(store)),
      { code: 'release/rolled-back', message: /os\.json/ },
    );
  }
});

/** A store that has what another one has, and changes for itself. */
async function seen(store: MetadataStore): Promise<MetadataStore> {
  const files = new Map<string, Uint8Array>();
  for (const name of ['timestamp.json', 'snapshot.json', 'targets.json', 'os.json']) {
    const bytes = await store.read(name);
    if (bytes !== undefined) files.set(name, bytes);
  }
  return memoryStore(files);
}

test('files at the place of others are refused', async () => {
  await using repository = await published();
  await repository.release('1.1', { seed: 2 });
  await repository.sign();
  await assert.rejects(offered(repository, { '2.os.json': await read(repository, '1.os.json') }), {
    code: 'release/wrong-content',
  });
  await assert.rejects(
    offered(repository, { '3.snapshot.json': await read(repository, '2.snapshot.json') }),
    {
      code: 'release/wrong-content',
    },
  );
  await assert.rejects(offered(repository, { 'timestamp.json': await read(repository, '3.snapshot.json') }), {
    code: 'release/bad-metadata',
  });
  // Also where nobody gives digests: versions and kinds alone.
  const bare = async (change: (meta: Record<string, object>) => void) =>
    await forge(
      'snapshot',
      await read(repository, '3.snapshot.json'),
      [repository.keys.snapshot],
      (signed) => {
        change(signed.meta);
      },
    );
  const naming = await forge(
    'timestamp',
    await read(repository, 'timestamp.json'),
    [repository.keys.timestamp],
    (signed) => {
      signed.meta['snapshot.json'] = { version: 3 };
    },
  );
  const snapshot = await bare((meta) => (meta['os.json'] = { version: 2 }));
  const lies = { 'timestamp.json': naming, '3.snapshot.json': snapshot };
  await offered(repository, lies);
  await assert.rejects(offered(repository, { ...lies, '2.os.json': await read(repository, '1.os.json') }), {
    code: 'release/rolled-back',
  });
  await assert.rejects(
    offered(repository, { ...lies, '3.snapshot.json': await read(repository, '2.snapshot.json') }),
    {
      code: 'release/rolled-back',
    },
  );
});

test('a file without an end costs as many bytes as the file may have', async () => {
  await using repository = await published();
  for (const [name, most] of [
    ['2.root.json', 128 * 1024],
    ['timestamp.json', 16 * 1024],
    ['2.snapshot.json', (await read(repository, '2.snapshot.json')).length],
    ['1.targets.json', (await read(repository, '1.targets.json')).length],
    ['1.os.json', (await read(repository, '1.os.json')).length],
  ] as const) {
    let sent = 0;
    const endless = (async function* pieces() {
      for (;;) {
        sent += 1024;
        yield await Promise.resolve(Buffer.alloc(1024, ' '));
      }
    })();
    await assert.rejects(offered(repository, { [name]: endless }), { code: 'release/too-large' }, name);
    assert.ok(sent <= most + 1024, `${name}: ${sent} bytes were read`);
  }
});

test('a file that is missing is said to be', async () => {
  await using repository = await published();
  for (const name of ['timestamp.json', '2.snapshot.json', '1.targets.json', '1.os.json'])
    await assert.rejects(offered(repository, { [name]: undefined }), { code: 'release/missing' }, name);
});

test('of any file with any byte changed nothing is believed, and nothing but our own error is thrown', async () => {
  await using repository = await published();
  for (const name of ['timestamp.json', '2.snapshot.json', '1.targets.json', '1.os.json']) {
    const bytes = await read(repository, name);
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bit) => {
        const other = Buffer.from(bytes);
        other.writeUInt8(other.readUInt8(at) ^ bit, at);
        await offered(repository, { [name]: other }).then(
          // Space between two members, and the case of hexadecimal digits in a signature, are signed by nobody.
          () => assert.deepEqual(signedPart(other), signedPart(bytes)),
          (error: unknown) => assert.ok(error instanceof MblError, String(error)),
        );
      }),
      { numRuns: 60 },
    );
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (text) => {
      const lies = { 'timestamp.json': Buffer.from(text), '2.root.json': Buffer.from(text) };
      await assert.rejects(offered(repository, lies), (error) => error instanceof MblError);
    }),
    { numRuns: 60 },
  );
  const deep = Buffer.from(`{"signed":${'{"a":'.repeat(2500)}1${'}'.repeat(2500)}}`);
  await assert.rejects(offered(repository, { 'timestamp.json': deep }), { code: 'release/bad-metadata' });
});

function signedPart(bytes: Uint8Array): unknown {
  return (JSON.parse(Buffer.from(bytes).toString()) as { signed: unknown }).signed;
}

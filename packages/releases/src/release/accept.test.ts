// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatRelease, parseRelease, type Release, type ReleaseComponent } from '@mbl/formats';
import { addTargets } from '../repository/edit.ts';
import { folderSource } from '../sources/folder.ts';
import { forge, read, resealed } from '../testing/forge.ts';
import { lyingSource, now, SyntheticRepository } from '../testing/synthetic-repository.ts';
import { acceptRelease, checkComponent, listReleases } from './accept.ts';
import { componentPath, releasePath } from './paths.ts';

const board = { machine: 'qemu-arm64', keys: 'development', rollbackIndex: 0 } as const;
const wanted = { team: 'os', name: '1.0' };

for (const kind of ['ed25519', 'ec'] as const) {
  test(`a release that is made, signed with ${kind} keys and published is accepted, and every byte of it is checked`, async () => {
    await using repository = await SyntheticRepository.open(kind);
    await repository.release('1.0', { notes: 'The first.' });
    assert.deepEqual((await repository.sign()).waiting, []);
    const client = await repository.client();
    const { release, components } = await acceptRelease(client, wanted, board);
    assert.equal(release.notes, 'The first.');
    assert.deepEqual(
      components.map(({ component }) => component.name),
      ['boot-firmware', 'kernel', 'root'],
    );
    for (const component of components) await checkComponent(client, component);
    assert.deepEqual(
      (await listReleases(client)).map((one) => one.release.name),
      ['1.0'],
    );
  });
}

test('components that two releases share are there once', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.release('1.1');
  await repository.sign();
  const paths = (await (await repository.client()).list()).map(({ path }) => path);
  assert.equal(paths.filter((path) => path.includes('/components/')).length, 7);
  assert.equal(paths.filter((path) => path.includes('/releases/')).length, 2);
});

test('a board refuses what is not for it', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0', { rollbackIndex: 3 });
  await repository.sign();
  const client = await repository.client();
  const refused = async (code: string, of: Partial<typeof wanted>, by: object) =>
    await assert.rejects(acceptRelease(client, { ...wanted, ...of }, { ...board, ...by }), { code });
  await refused('release/unknown-release', { name: '1.1' }, {});
  await refused('release/unknown-release', { team: 'thermostat' }, {});
  await refused('release/wrong-keys', {}, { keys: 'production' });
  await refused('release/wrong-machine', {}, { machine: 'other-board' });
  await refused('release/too-old', {}, { rollbackIndex: 4 });
  await acceptRelease(client, wanted, { ...board, rollbackIndex: 3 });
});

test('a file that was changed, cut short or made longer on the way is refused', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.sign();
  const client = await repository.client();
  const { components } = await acceptRelease(client, wanted, board);
  for (const { target, component } of components) {
    const path = `targets/os/components/${component.sha256}/${component.sha256}.${component.file}`;
    const bytes = await readFile(join(repository.folder, path));
    const check = async (lie: Uint8Array | AsyncIterable<Uint8Array> | undefined) => {
      const source = lyingSource(folderSource(repository.folder), { [path]: lie });
      await checkComponent(await repository.client({ source }), { target, component });
    };
    await check(bytes);
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(99) ^ 1, 99);
    await assert.rejects(check(flipped), { code: 'release/wrong-content' });
    await assert.rejects(check(bytes.subarray(1)), { code: 'release/wrong-content' });
    await assert.rejects(check(Buffer.concat([bytes, Buffer.alloc(1)])), { code: 'release/too-large' });
    await assert.rejects(check(undefined), { code: 'release/missing' });
    let sent = 0;
    const endless = (async function* pieces() {
      for (;;) yield await Promise.resolve(Buffer.alloc(4096, (sent += 1)));
    })();
    await assert.rejects(check(endless), { code: 'release/too-large' });
    assert.ok(sent * 4096 <= target.length + 4096, `${component.name}: ${sent} pieces were read`);
  }
});

test('what the team signed by mistake is refused too: components mixed up, a tree of other data', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.release('1.1', { seed: 2 });
  await repository.sign();
  const [one, two] = (await listReleases(await repository.client())).map(({ release }) => release);
  assert.ok(one !== undefined && two !== undefined);
  const signed = async (release: Release, at = release.name) => {
    const content = Buffer.from(formatRelease(release));
    const path = releasePath('os', at);
    const sha256 = createHash('sha256').update(content).digest('hex');
    await writeFile(join(repository.folder, `targets/os/releases/${sha256}.${at}.json`), content);
    addTargets(repository.state, 'os', [{ path, length: content.length, sha256 }], now);
    await repository.sign();
    return await repository.client();
  };
  const [image] = one.images;
  assert.ok(image !== undefined);
  /** The first release under another name, with one of its components changed. */
  const change = (
    name: string,
    component: string,
    edit: (one: ReleaseComponent) => ReleaseComponent,
  ): Release => {
    const components = image.components.map((each) => (each.name === component ? edit(each) : each));
    return parseRelease(formatRelease({ ...one, name, images: [{ ...image, components }] }), name);
  };
  const accept = async (name: string) => {
    const client = await repository.client();
    const { components } = await acceptRelease(client, { team: 'os', name }, board);
    for (const component of components) await checkComponent(client, component);
  };
  await signed(two, 'swapped');
  await assert.rejects(accept('swapped'), { code: 'release/mixed-up', message: /place of swapped/ });
  await signed(change('unknown', 'boot-firmware', (each) => ({ ...each, sha256: '00'.repeat(32) })));
  await assert.rejects(accept('unknown'), { code: 'release/mixed-up', message: /nobody of its team/ });
  await signed(change('longer', 'boot-firmware', (each) => ({ ...each, size: each.size + 1 })));
  await assert.rejects(accept('longer'), { code: 'release/mixed-up', message: /another file/ });
  await signed(
    change('tree', 'root', ({ verity, payload, ...each }) =>
      verity === undefined || payload === undefined
        ? each
        : { ...each, verity: { ...verity, rootHash: '00'.repeat(32) } },
    ),
  );
  await assert.rejects(accept('tree'), { code: 'release/wrong-content', message: /hash tree/ });
  const ofPayload = (more: object) => (each: ReleaseComponent) =>
    each.payload === undefined ? each : { ...each, payload: { ...each.payload, ...more } };
  await signed(change('index', 'kernel', ofPayload({ indexSha256: '00'.repeat(32) })));
  await assert.rejects(accept('index'), {
    code: 'release/wrong-content',
    message: /index of kernel\.payload/,
  });
  await signed(change('payload', 'kernel', ofPayload({ sha256: '00'.repeat(32) })));
  await assert.rejects(accept('payload'), { code: 'release/mixed-up', message: /nobody of its team/ });
  // A root whose data is right and whose tree is not: the kernel would find out only when it reads.
  const root = image.components.find((each) => each.name === 'root');
  assert.ok(root !== undefined);
  const bytes = await readFile(join(repository.folder, 'targets', stored(root)));
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
  const { payload: _none, ...whole } = root;
  const other = { ...whole, sha256: createHash('sha256').update(bytes).digest('hex'), requires: [] };
  await mkdir(join(repository.folder, 'targets/os/components', other.sha256));
  await writeFile(join(repository.folder, 'targets', stored(other)), bytes);
  addTargets(
    repository.state,
    'os',
    [{ path: componentPath('os', other), length: bytes.length, sha256: other.sha256 }],
    now,
  );
  await signed({ ...one, name: 'lies', images: [{ ...image, components: [other] }] });
  await assert.rejects(accept('lies'), { code: 'release/wrong-content', message: /hash tree/ });
  await accept('1.0');
});

/** Where a component lies below `targets/`. */
function stored(component: ReleaseComponent): string {
  return `os/components/${component.sha256}/${component.sha256}.${component.file}`;
}

test('a component that another role vouches for is none of the release', async () => {
  await using repository = await SyntheticRepository.open();
  await repository.release('1.0');
  await repository.sign();
  const { components } = await acceptRelease(await repository.client(), wanted, board);
  const [component] = components;
  assert.ok(component !== undefined);
  const forged = await forge(
    'targets',
    await read(repository, '1.targets.json'),
    [repository.keys.targets],
    (signed) => {
      const { length, hashes, path } = component.target;
      signed.targets[path] = { length, hashes };
    },
  );
  const lies = await resealed(repository, 'targets', forged);
  const named = Object.fromEntries(Object.entries(lies).map(([name, bytes]) => [`metadata/${name}`, bytes]));
  const client = await repository.client({ source: lyingSource(folderSource(repository.folder), named) });
  assert.equal((await client.find(component.target.path))?.role, 'targets');
  await assert.rejects(acceptRelease(client, wanted, board), {
    code: 'release/mixed-up',
    message: /nobody of its team/,
  });
});

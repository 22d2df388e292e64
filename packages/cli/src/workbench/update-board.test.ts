// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildFip, type BuildResult } from '@mbl/builder';
import { readImage } from '@mbl/formats';
import { acceptRelease, Client, folderSource, memoryStore } from '@mbl/releases';
import { buildSigner, initKeys, type KeySet, loadKeys, MblError, tbbrCertificates } from '@mbl/trust';
import { runProgram } from '../program.ts';
import { testCli } from '../testing/cli.ts';
import { makeImageFolder } from '../testing/image-folder.ts';
import { releaseOfBuild } from './build-release.ts';
import { releaseRoot } from './releases.ts';
import { orReflash, requireUpdatable } from './update-board.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-up-'));
const state = join(folder, 'state');
const releases = join(state, 'releases');
let keys: KeySet;

before(async () => {
  await initKeys(join(state, 'keys'), { profile: 'development' });
  keys = await loadKeys(join(state, 'keys'), { environment: {} });
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function built(seed: number): Promise<BuildResult> {
  const directory = join(folder, `build-${seed}`);
  makeImageFolder(directory, seed);
  const description = await readImage(directory);
  assert.ok(description);
  return { directory, description } as BuildResult;
}

async function release(seed: number, set = keys): Promise<string> {
  const { cli } = testCli({ workspace: { state } });
  return await releaseOfBuild(cli, await built(seed), set);
}

/** As a device that knows the team's first root alone. */
async function accept(name: string, rollbackIndex = 0): Promise<number> {
  const client = await Client.open({
    root: await releaseRoot(keys),
    source: folderSource(releases),
    store: memoryStore(),
    now: new Date(),
  });
  const board = { machine: 'qemu-arm64', keys: 'development', rollbackIndex } as const;
  return (await acceptRelease(client, { team: 'os', name }, board)).components.length;
}

const described = (): string[] =>
  readdirSync(join(releases, 'targets/os/releases'))
    .map((name) => name.replace(/^[0-9a-f]{64}\.(.*)\.json$/, '$1'))
    .toSorted();

test('a build has one release, which a device accepts; old ones go, and what they alone brought', async () => {
  const names: string[] = [];
  for (const seed of [1, 2, 3, 4]) {
    const name = await release(seed);
    assert.equal(name, `build-000000000000000${seed}`);
    assert.equal(await accept(name), 3);
    assert.equal(await release(seed), name, 'the same build once more');
    names.push(name);
    // The times of their files say which is the oldest.
    const file = readdirSync(join(releases, 'targets/os/releases')).find((one) => one.includes(name)) ?? '';
    utimesSync(join(releases, 'targets/os/releases', file), seed, seed);
  }
  assert.deepEqual(described(), names.slice(1));
  for (const name of names.slice(1)) assert.equal(await accept(name), 3);
  await assert.rejects(accept(names[0] ?? ''), { code: 'release/unknown-release' });
  // Three components, their payloads and a bill of materials each.
  assert.equal(readdirSync(join(releases, 'targets/os/components')).length, 21);
});

test('beside releases of a person, a build has an index that none of their devices refuses', async () => {
  makeImageFolder(join(folder, 'by-hand'), 9);
  const { cli } = testCli({ workspace: { state } });
  const mbl = async (...words: string[]) => assert.equal(await runProgram(cli, words), 0);
  await mbl('release', 'create', '1.0', join(folder, 'by-hand'), '--rollback-index', '2');
  await assert.rejects(release(5), { code: 'cli/not-released', message: /waits there for a signature: os/ });
  await mbl('release', 'sign');
  const name = await release(5);
  assert.equal(name, 'build-0000000000000005-2');
  assert.equal(await accept(name, 2), 3);
  assert.equal(await accept('1.0', 2), 3, 'nobody takes the releases of a person away');
});

test('in a repository of others nothing is signed', async () => {
  await initKeys(join(folder, 'others'), { profile: 'development' });
  const others = await loadKeys(join(folder, 'others'), { environment: {} });
  cpSync(join(releases, 'metadata'), join(folder, 'before'), { recursive: true });
  await assert.rejects(release(6, others), { code: 'cli/not-released', message: /none of the key set/ });
  assert.deepEqual(readdirSync(join(releases, 'metadata')), readdirSync(join(folder, 'before')));
});

test('what no running board can become is said, with the way that remains', async () => {
  const { directory, description: image } = await built(1);
  const board = { name: 'one', image, flashPath: join(directory, 'flash.bin') };
  const description = { ...image, buildId: 'f'.repeat(16) };
  await requireUpdatable(board, { directory, description });
  const refused = async (wanted: typeof image, message: RegExp, code = 'cli/needs-flash') =>
    await assert.rejects(requireUpdatable(board, { directory, description: wanted }), {
      ...{ code, message },
      remedy: code === 'cli/needs-flash' ? /up one --reflash$/ : /board reset one$/,
    });
  await refused({ ...image, keys: 'production' }, /trusts development keys/);
  await refused({ ...image, disk: { ...image.disk, size: 1 } }, /divides the disk/, 'cli/needs-reset');
  const production = { ...board, image: { ...image, keys: 'production' as const } };
  await assert.rejects(
    requireUpdatable(production, { directory, description: { ...image, keys: 'production' } }),
    { message: /by hand/ },
  );
});

/** A build whose firmware begins with a certificate of the key set, as that of a board does. */
async function firmwareOf(
  name: string,
  set: KeySet,
): Promise<Pick<BuildResult, 'directory' | 'description'>> {
  const { description } = await built(1);
  const directory = join(folder, name);
  makeImageFolder(directory, 1);
  const signer = await buildSigner(set.keys['root-of-trust']);
  const images = { bl2: Buffer.from(name), bl31: Buffer.from('bl31'), bl33: Buffer.from('bl33') };
  const certificates = await tbbrCertificates(
    {
      ...{ rootOfTrust: signer, trustedWorld: signer, nonTrustedWorld: signer },
      ...{ bl31: signer, bl32: signer, bl33: signer },
    },
    { ...images, bl32: [Buffer.from('1'), Buffer.from('2'), Buffer.from('3')] },
    { trusted: 0, nonTrusted: 0 },
  );
  const size = 64 * 1024;
  const flash = Buffer.alloc(2 * size, 0xff);
  flash.set(buildFip({ ...images, ...certificates }).bytes);
  writeFileSync(join(directory, 'flash.bin'), flash);
  const parts = { bank_a: { offset: 0, size }, bank_b: { offset: size, size } };
  const components = {
    ...description.components,
    'boot-firmware': { version: '2.12', sha256: createHash('sha256').update(flash).digest('hex') },
  };
  return {
    directory,
    description: { ...description, components, flash: { ...description.flash, size: flash.length, parts } },
  };
}

test('another boot firmware comes with an update, where the board has a second bank and trusts who signed it', async () => {
  await initKeys(join(folder, 'strangers'), { profile: 'development' });
  const strangers = await loadKeys(join(folder, 'strangers'), { environment: {} });
  const [old, next, strange] = [
    await firmwareOf('old', keys),
    await firmwareOf('next', keys),
    await firmwareOf('strange', strangers),
  ];
  const flashPath = join(old.directory, 'flash.bin');
  const board = { name: 'one', image: old.description, flashPath };
  await requireUpdatable(board, next);
  await assert.rejects(requireUpdatable(board, strange), {
    code: 'cli/needs-flash',
    message: /signed with another key set/,
  });
  const { bank_b, ...parts } = old.description.flash.parts;
  const single = { ...board, image: { ...old.description, flash: { ...old.description.flash, parts } } };
  await assert.rejects(requireUpdatable(single, next), {
    code: 'cli/needs-flash',
    message: /no second bank/,
  });
  // An update went to bank B, and a copy of it to bank A was cut.
  const flash = readFileSync(flashPath);
  flash.copyWithin(bank_b?.offset ?? 0, 0, bank_b?.size);
  writeFileSync(flashPath, flash.fill(0xff, 0, 4096));
  await requireUpdatable(board, next);
});

test('a board that fails on the way is told how to be flashed; other errors stay as they are', async () => {
  const fails = (error: Error) => orReflash('one', () => Promise.reject(error));
  await assert.rejects(fails(new MblError('cli/not-online', 'It was not.', { remedy: 'Look.' })), {
    code: 'cli/not-online',
    message: 'It was not.',
    remedy: 'Look. Or flash the board, its identity and data are kept: ./mbl up one --reflash',
  });
  await assert.rejects(fails(new MblError('lab/disk-full', 'Full.')), { remedy: undefined });
});

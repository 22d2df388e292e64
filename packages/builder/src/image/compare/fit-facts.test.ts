// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { initKeys, type KeyRef } from '@mbl/trust';
import { buildCpio } from '../../kernel/cpio.ts';
import { buildFit } from '../../kernel/fit.ts';
import { type RootReference, rootReferenceCpio } from '../../kernel/root-reference.ts';
import { Facts } from './facts.ts';
import { addFit, openFit } from './fit-facts.ts';

const folder = await mkdtemp(join(tmpdir(), 'mbl-fit-'));
after(async () => await rm(folder, { recursive: true, force: true }));
const keyOf = async (name: string): Promise<KeyRef> =>
  (await initKeys(join(folder, name), { profile: 'development' })).keys.fit;
const [own, foreign] = [await keyOf('own'), await keyOf('foreign')];

const root = (digit: string): RootReference => ({
  ...{ dataSize: 8192, hashOffset: 8192, rootHash: digit.repeat(64), salt: 'abcd' },
});

interface Changes {
  readonly key?: KeyRef | undefined;
  readonly kernel?: string;
  readonly init?: string;
  readonly bootargs?: string;
  readonly profile?: 'development' | 'production';
  readonly rootHash?: string;
  /** The root that stands beside the FIT; default: the one that it names. */
  readonly beside?: string;
}

async function describe(changes: Changes): Promise<Facts> {
  const {
    kernel = 'kernel',
    init = '#!/bin/sh',
    bootargs = 'quiet',
    profile = 'development',
    rootHash = 'a',
    beside = rootHash,
  } = changes;
  const put = async (name: string, bytes: Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  const base = buildCpio([{ path: 'busybox', type: 'file', data: Buffer.from('busybox'), executable: true }]);
  const reference = rootReferenceCpio(
    root(rootHash),
    { keys: profile, disk: 'platform/x' },
    Buffer.from(init),
  );
  const tree = `/dts-v1/; / { chosen { bootargs = "${bootargs}"; }; };`;
  const images = {
    kernel: await put('kernel', gzipSync(kernel)),
    initramfs: await put('initramfs', Buffer.concat([base, reference].map((part) => zstdCompressSync(part)))),
    fdt: await put('fdt', execFileSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], { input: tree })),
  };
  const out = join(folder, 'fit.itb');
  await buildFit(folder, images, 'key' in changes ? changes.key : own, out);
  const facts = new Facts();
  const content = openFit(await readFile(out));
  assert.equal(Buffer.from(content.salt).toString('hex'), 'abcd');
  addFit(facts, content, root(beside));
  return facts;
}

const mine = await describe({});

async function contentAgainst(changes: Changes): Promise<string[]> {
  return mine
    .compare(await describe(changes))
    .filter(({ kind }) => kind !== 'signature')
    .map(({ place, aspect }) => `${place} ${aspect}`);
}

test('another key, and another root that stands beside it, are no content', async () => {
  assert.deepEqual(mine.compare(await describe({})), []);
  const differences = mine.compare(await describe({ key: foreign, rootHash: 'b' }));
  assert.ok(differences.some(({ place, aspect }) => aspect === 'value' && place.endsWith('signature-1')));
  assert.deepEqual(new Set(differences.map(({ kind }) => kind)), new Set(['signature']));
});

test('a FIT that names another root than the one beside it is told', async () => {
  assert.deepEqual(await contentAgainst({ beside: 'b' }), ['fit/initramfs/etc/root.conf content']);
});

test('what the keys are for is told', async () => {
  assert.deepEqual(await contentAgainst({ profile: 'production' }), ['fit/initramfs/etc/root.conf content']);
});

test('a FIT without a signature is told', async () => {
  assert.ok(
    (await contentAgainst({ key: undefined })).includes('fit/configurations/mbl/signature-1 presence'),
  );
});

test('another kernel, init or command line is told where it stands', async () => {
  assert.deepEqual(await contentAgainst({ kernel: 'KERNEL' }), ['fit/images/kernel data']);
  assert.deepEqual(await contentAgainst({ init: '#!/bin/sh -x' }), ['fit/initramfs/init content']);
  assert.deepEqual(await contentAgainst({ bootargs: 'debug' }), [
    'fit/fdt/chosen bootargs',
    'fit/images/fdt data',
  ]);
});

test('what is no FIT, and an initramfs that is no archive, are refused', async () => {
  assert.throws(() => openFit(Buffer.from('no FIT')), { code: 'builder/bad-device-tree' });
  const fit = await readFile(join(folder, 'fit.itb'));
  const zstd = fit.indexOf(Buffer.from('28b52ffd', 'hex'));
  fit.fill(0xff, zstd + 4, zstd + 12);
  assert.throws(() => openFit(fit), { code: 'builder/bad-archive' });
});

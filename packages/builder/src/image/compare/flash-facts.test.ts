// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { memorySigner, type Signer, tbbrCertificates } from '@mbl/trust';
import { buildFip } from '../../firmware/fip.ts';
import { requiredKeyNode } from '../../firmware/required-key.ts';
import { type Difference, Facts } from './facts.ts';
import { addFlash, openFlash } from './flash-facts.ts';

const fipOffset = 8192;
const names = ['rootOfTrust', 'trustedWorld', 'nonTrustedWorld', 'bl31', 'bl32', 'bl33'] as const;

interface Owner {
  readonly keys: Readonly<Record<(typeof names)[number], Signer>>;
  readonly fit: string;
}

function makeOwner(): Owner {
  const signer = (): Signer => memorySigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = Object.fromEntries(names.map((name) => [name, signer()])) as Owner['keys'];
  return { keys, fit: publicKey.export({ type: 'spki', format: 'pem' }) };
}

interface Changes {
  readonly bl31?: string;
  readonly counter?: number;
  /** What the certificate of BL31 vouches for, in place of BL31. */
  readonly vouched?: string;
  readonly required?: string;
  readonly behind?: string;
}

async function describe({ keys, fit }: Owner, changes: Changes = {}) {
  const { bl31 = 'bl31', counter = 0, vouched = bl31, required = 'conf', behind = '' } = changes;
  const der = createPublicKey(await keys.rootOfTrust.publicKey()).export({ type: 'spki', format: 'der' });
  const trust = createHash('sha256').update(der).digest();
  const source = `/dts-v1/; / { model = "board"; }; ${requiredKeyNode(fit).replace('"conf"', `"${required}"`)}`;
  const control = execFileSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], { input: source });
  const images = {
    bl2: Buffer.concat([Buffer.from('bl2'), trust]),
    bl31: Buffer.from(vouched),
    bl32: [Buffer.from('header'), Buffer.from('pager'), Buffer.alloc(0)] as const,
    bl33: Buffer.concat([Buffer.from('u-boot'), control]),
  };
  const certificates = await tbbrCertificates(keys, images, { trusted: counter, nonTrusted: 0 });
  const [bl32, extra1, extra2] = images.bl32;
  const fip = buildFip({
    ...{ bl2: images.bl2, bl31: Buffer.from(bl31), bl32, 'bl32-extra1': extra1, 'bl32-extra2': extra2 },
    bl33: images.bl33,
    ...certificates,
  });
  const bl1 = Buffer.concat([Buffer.from('bl1'), trust]);
  const flash = Buffer.alloc(65_536, 0xff);
  bl1.copy(flash);
  fip.bytes.copy(flash, fipOffset);
  flash.write(behind, 60_000);
  const facts = new Facts();
  const { fingerprints } = addFlash(facts, openFlash(flash, { offset: 0, size: bl1.length }), undefined);
  return { facts, fingerprints };
}

const owner = makeOwner();
const mine = await describe(owner);

async function contentAgainst(changes: Changes, other = owner): Promise<string[]> {
  const { facts } = await describe(other, changes);
  const isContent = ({ kind }: Difference) => kind !== 'signature';
  return mine.facts
    .compare(facts)
    .filter(isContent)
    .map(({ place, aspect }) => `${place} ${aspect}`);
}

test('a stranger who signs the same firmware differs in signatures, and in every key', async () => {
  const stranger = await describe(makeOwner());
  const differences = mine.facts.compare(stranger.facts);
  assert.ok(differences.length > 20);
  assert.deepEqual(new Set(differences.map(({ kind }) => kind)), new Set(['signature']));
  const places = new Set(differences.map(({ place }) => place));
  for (const place of ['bl1', 'bl2', 'tb-fw-cert', 'nt-fw-cert', 'u-boot/control-tree/signature/key-fit'])
    assert.ok(places.has(`flash/${place}`), place);
  for (const place of ['bl31', 'optee', 'u-boot']) assert.ok(!places.has(`flash/${place}`), place);
  for (const [name, fingerprint] of Object.entries(mine.fingerprints))
    assert.notEqual(stranger.fingerprints[name], fingerprint, name);
});

test('a changed image is told, by its owner and by a stranger', async () => {
  const expected = ['flash/bl31 content'];
  assert.deepEqual(await contentAgainst({ bl31: 'BL31' }), expected);
  assert.deepEqual(await contentAgainst({ bl31: 'BL31' }, makeOwner()), expected);
});

test('a certificate that vouches for another image than the one beside it is told', async () => {
  assert.deepEqual(await contentAgainst({ vouched: 'another' }), [
    'flash/soc-fw-cert extension 2 (1.3.6.1.4.1.4128.2100.603)',
  ]);
});

test('another counter against rollback is told', async () => {
  const trusted = ['soc-fw-cert', 'soc-fw-key-cert', 'tb-fw-cert', 'tos-fw-cert', 'tos-fw-key-cert'];
  assert.deepEqual(
    await contentAgainst({ counter: 1 }),
    [...trusted, 'trusted-key-cert'].map((name) => `flash/${name} extension 1 (1.3.6.1.4.1.4128.2100.1)`),
  );
});

test('a U-Boot that requires no signature is told', async () => {
  assert.deepEqual(await contentAgainst({ required: 'none' }), [
    'flash/u-boot/control-tree/signature/key-fit required',
  ]);
});

test('bytes outside of every image are told', async () => {
  assert.deepEqual(await contentAgainst({ behind: 'hidden' }), ['flash rest']);
});

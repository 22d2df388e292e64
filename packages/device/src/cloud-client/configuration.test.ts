// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import { FakeService } from '../testing/fake-service.ts';
import { imageJson, TemporaryFolder } from '../testing/support.ts';
import { loadFactory, maxFactoryBytes, parseFactory } from './factory.ts';
import { loadImage, parseImage } from './image.ts';

let good: Record<string, unknown> & { service: Record<string, unknown> };

before(async () => {
  await using service = await FakeService.start();
  good = JSON.parse(service.factory('mbl-board-1'));
});

const parse = (change: object) => parseFactory(JSON.stringify({ ...good, ...change }), 'factory.json');
const parseService = (change: object) => parse({ service: { ...good.service, ...change } });

test('a factory configuration is read', () => {
  const factory = parseService({ est: 'https://10.0.2.2:8443', lwm2m: 'coaps+tcp://[fd00::1]' });
  assert.equal(factory.endpointName, 'mbl-board-1');
  assert.deepEqual(factory.lwm2m, { host: 'fd00::1', port: 5684, uri: 'coaps+tcp://[fd00::1]' });
  assert.equal(parseService({ lwm2m: 'coaps+tcp://10.0.2.2:1234/' }).lwm2m.uri, 'coaps+tcp://10.0.2.2:1234');
});

test('what is wrong with a factory configuration is named', () => {
  const bad = { code: 'device/bad-factory' };
  for (const [change, names] of [
    [{ version: 2 }, /version/],
    [{ endpointName: 'has space' }, /endpointName/],
    [{ endpointName: 'x'.repeat(65) }, /endpointName/],
    [{ enrolmentCode: 'with:colon' }, /enrolmentCode/],
    [{ enrolmentCode: '' }, /enrolmentCode/],
    [{ serialNumber: 7 }, /serialNumber/],
    [{ trust: 'no certificate' }, /trust/],
    [{ trust: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }, /trust/],
    [{ service: [] }, /service/],
  ] as const) {
    assert.throws(() => parse(change), { ...bad, message: names });
  }
  for (const change of [
    { est: 'http://10.0.2.2' },
    { est: 'https://user@10.0.2.2' },
    { est: 'https://10.0.2.2/path' },
    { lwm2m: 'coaps://10.0.2.2' },
    { lwm2m: 'coaps+tcp://' },
    { lwm2m: 'nonsense' },
    { serverName: 'a b' },
  ]) {
    assert.throws(() => parseService(change), bad, JSON.stringify(change));
  }
});

test('missing and oversized files are errors with a code', async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, 'factory.json');
  await assert.rejects(loadFactory(path), { code: 'device/no-factory' });
  await assert.rejects(loadImage(path), { code: 'device/no-image' });
  writeFileSync(path, ' '.repeat(maxFactoryBytes + 1));
  await assert.rejects(loadFactory(path), { code: 'device/file-too-large' });
});

test('an image describes itself', () => {
  const image = parseImage(imageJson, 'image.json');
  assert.equal(image.machine, 'qemu-arm64');
  assert.deepEqual(image.versions, { 'boot-firmware': '2.12.1', kernel: '6.12.117', root: '0.1.0' });
  assert.throws(() => parseImage(imageJson.replace('6.12.117', '\\n'), 'image.json'), {
    code: 'device/bad-image',
    message: /components\.kernel\.version/,
  });
});

test('any text gives only our error', () => {
  const structured = fc
    .json()
    .map((text) => `{"version":1,"service":${text},"components":${text},"machine":${text}}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), structured), (text) => {
      assert.throws(() => parseFactory(text, 'f'), MblError);
      assert.throws(() => parseImage(text, 'i'), MblError);
    }),
  );
});

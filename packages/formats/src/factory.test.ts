// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, test } from 'node:test';
import { certificatePem, MblError, memorySigner, selfSign } from '@mbl/trust';
import fc from 'fast-check';
import {
  type FactoryConfiguration,
  factoryFor,
  formatFactory,
  maxFactoryBytes,
  parseFactory,
} from './factory.ts';

let good: FactoryConfiguration;

before(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = { commonName: 'test CA' };
  const authority = await selfSign(memorySigner(privateKey), { subject, authority: true });
  good = factoryFor(
    { ports: { http: 8080, est: 8443, lwm2m: 5684 } },
    {
      endpointName: 'mbl-board-1',
      enrolmentCode: 'once',
      host: '10.0.2.2',
      trust: certificatePem(authority),
    },
  );
});

const parse = (change: object) => parseFactory(JSON.stringify({ ...good, ...change }), 'factory.json');
const parseService = (change: object) => parse({ service: { ...good.service, ...change } });

test('what is written for a service is read by its device', () => {
  assert.deepEqual(parseFactory(formatFactory(good), 'factory.json'), good);
  assert.equal(good.service.est, 'https://10.0.2.2:8443');
  assert.equal(good.service.lwm2m, 'coaps+tcp://10.0.2.2:5684');
  assert.equal(good.serialNumber, 'mbl-board-1');
  parse({ trust: good.trust + good.trust });
});

test('an address is reduced to scheme, host and port', () => {
  assert.equal(
    parseService({ lwm2m: 'coaps+tcp://10.0.2.2:1234/' }).service.lwm2m,
    'coaps+tcp://10.0.2.2:1234',
  );
  assert.equal(parseService({ lwm2m: 'coaps+tcp://[fd00::1]' }).service.lwm2m, 'coaps+tcp://[fd00::1]');
  assert.equal(parseService({ est: 'https://a.example:443' }).service.est, 'https://a.example');
});

test('what is wrong is named', () => {
  const bad = { code: 'formats/bad-factory', remedy: /factory partition/ };
  for (const [change, message] of [
    [{ version: 2 }, /version/],
    [{ endpointName: 'has space' }, /"endpointName" must be 1 to 64/],
    [{ endpointName: '..' }, /"endpointName"/],
    [{ endpointName: 'x'.repeat(65) }, /"endpointName"/],
    [{ enrolmentCode: 'with:colon' }, /"enrolmentCode"/],
    [{ enrolmentCode: '' }, /"enrolmentCode"/],
    [{ serialNumber: 7 }, /"serialNumber"/],
    [{ trust: 'no certificate' }, /"trust"/],
    [{ trust: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' }, /"trust"/],
    [{ trust: good.trust.repeat(1000) }, /longer than/],
    [{ service: [] }, /"service"/],
  ] as const) {
    assert.throws(() => parse(change), { ...bad, message });
  }
  for (const change of [
    { est: 'http://10.0.2.2' },
    { est: 'https://user@10.0.2.2' },
    { est: 'https://10.0.2.2/path' },
    { est: 'https://10.0.2.2/?query' },
    { lwm2m: 'coaps://10.0.2.2' },
    { lwm2m: 'coaps+tcp://' },
    { lwm2m: 'nonsense' },
    { serverName: 'a b' },
  ]) {
    assert.throws(() => parseService(change), bad, JSON.stringify(change));
  }
});

test('any text gives a configuration or our error', () => {
  const members = fc.constantFrom(
    'version',
    'endpointName',
    'serialNumber',
    'enrolmentCode',
    'service',
    'trust',
  );
  const near = fc
    .tuple(members, fc.jsonValue())
    .map(([name, value]) => JSON.stringify({ ...good, [name]: value }));
  const url = fc
    .string()
    .map((text) => JSON.stringify({ ...good, service: { ...good.service, lwm2m: `coaps+tcp://${text}` } }));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), near, url), (text) => {
      try {
        const { service } = parseFactory(text, 'factory.json');
        assert.ok(text.length <= maxFactoryBytes && URL.canParse(service.lwm2m) && URL.canParse(service.est));
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'formats/bad-factory', String(error));
      }
    }),
  );
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import fc from 'fast-check';
import {
  formatServiceFile,
  parseServiceFile,
  readServiceFile,
  type ServiceFile,
  serviceFilePath,
} from './service-file.ts';

const good: ServiceFile = {
  version: 1,
  pid: 4711,
  startedAt: '2026-01-01T00:00:00.000Z',
  http: 'http://127.0.0.1:8080',
  est: 'https://127.0.0.1:8443',
  lwm2m: 'coaps+tcp://127.0.0.1:5684',
  ports: { http: 8080, est: 8443, lwm2m: 5684 },
  apiKey: 'ak_1',
  trust: '/var/lib/service/ca.pem',
};

test('what a service writes is read; a folder without is no error', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-formats-'));
  t.after(async () => await rm(folder, { recursive: true }));
  assert.equal(await readServiceFile(folder), undefined);
  await writeFile(serviceFilePath(folder), formatServiceFile(good));
  assert.deepEqual(await readServiceFile(folder), good);
  await writeFile(serviceFilePath(folder), formatServiceFile(good).slice(0, 20));
  await assert.rejects(readServiceFile(folder), {
    code: 'formats/bad-service-file',
    message: /service\.json: not JSON/,
  });
});

test('any text gives a service file or our error', () => {
  const near = fc
    .tuple(fc.constantFrom(...Object.keys(good)), fc.jsonValue())
    .map(([name, value]) => JSON.stringify({ ...good, [name]: value }));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), near), (text) => {
      try {
        const { pid, ports } = parseServiceFile(text, 'service.json');
        assert.ok(pid >= 0 && Object.values(ports).every((port) => port >= 0 && port < 65_536));
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'formats/bad-service-file', String(error));
      }
    }),
  );
});

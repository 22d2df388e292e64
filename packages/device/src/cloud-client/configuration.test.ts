// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { maxFactoryBytes } from '@mbl/formats';
import { addressOf } from '../common/address.ts';
import { TemporaryFolder } from '../testing/support.ts';
import { loadFactory } from './factory.ts';
import { loadImage } from '../common/image.ts';

test('missing and oversized files are errors with a code', async () => {
  using folder = new TemporaryFolder();
  const path = join(folder.path, 'factory.json');
  await assert.rejects(loadFactory(path), { code: 'device/no-factory' });
  await assert.rejects(loadImage(path), { code: 'device/no-image' });
  writeFileSync(path, ' '.repeat(maxFactoryBytes + 1));
  await assert.rejects(loadFactory(path), { code: 'formats/too-large' });
});

test('a URL says where to connect', () => {
  assert.deepEqual(addressOf('coaps+tcp://[fd00::1]', 5684), { host: 'fd00::1', port: 5684 });
  assert.deepEqual(addressOf('coaps+tcp://10.0.2.2:1234', 5684), { host: '10.0.2.2', port: 1234 });
  assert.deepEqual(addressOf('https://10.0.2.2', 443), { host: '10.0.2.2', port: 443 });
});

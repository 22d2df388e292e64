// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { readLock } from '../recipes/lock.ts';
import { checkFloors, readFloors } from './advisories.ts';
import { firmwareOrigins } from './sources.ts';

const os = resolve(import.meta.dirname, '../../../../os');
const folder = mkdtempSync(join(tmpdir(), 'mbl-advisories-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const source = (name: string, version: string) => ({ name, version, suite: 'sid', files: [] });

test('every firmware source has a floor, and the lock in the repository is above it', async () => {
  const floors = await readFloors(join(os, 'firmware/advisories.yaml'));
  assert.deepEqual(floors.map((floor) => floor.source).toSorted(), Object.keys(firmwareOrigins).toSorted());
  for (const { source: name, advisories } of floors)
    for (const advisory of Object.keys(advisories)) assert.match(advisory, /^CVE-\d{4}-\d{4,}$/, name);
  const { sources } = await readLock(join(os, 'locks/firmware.json'));
  assert.equal(sources.length, floors.length);
  checkFloors(sources, floors);
});

test('the U-Boot whose FIT signatures can be passed by is refused with the name of the advisory', async () => {
  const floors = await readFloors(join(os, 'firmware/advisories.yaml'));
  for (const version of ['2025.01-3', '2025.01-3.1', '2024.10-9', '2025.01-3.2~bpo12+1'])
    assert.throws(
      () => checkFloors([source('optee-os', '4.10.0-2'), source('u-boot', version)], floors),
      (error) => {
        assert.ok(error instanceof MblError);
        assert.equal(error.code, 'builder/vulnerable-source');
        assert.match(error.message, /u-boot .*2025\.01-3\.2 or later.*CVE-2026-46728/);
        assert.match(error.remedy ?? '', /--update-lock/);
        return true;
      },
    );
  for (const version of ['2025.01-3.2', '2025.01-3.10', '2026.04-1', '1:1'])
    checkFloors([source('u-boot', version)], floors);
});

test('a file of advisories that is wrong is told with its line', async () => {
  const path = join(folder, 'advisories.yaml');
  for (const [text, message] of [
    ['u-boot:\n  least: [1]\n', /advisories\.yaml:2/],
    ['u-boot:\n  most: 1-1\n', /advisories\.yaml:2/],
    ['u-boot: {}\n', /least/],
  ] as const) {
    writeFileSync(path, text);
    await assert.rejects(readFloors(path), { code: 'formats/bad-recipe', message });
  }
});

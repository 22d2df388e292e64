// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { imageFields } from './image.ts';
import { machineFields } from './machine.ts';

const docs = join(import.meta.dirname, '../../../../docs/reference');

void test('every key of a machine and an image is in the reference', () => {
  const documents: [string, object][] = [
    ['machine-file.md', machineFields],
    ['image-file.md', imageFields],
  ];
  for (const [file, fields] of documents) {
    const text = readFileSync(join(docs, file), 'utf8');
    for (const field of Object.keys(fields)) {
      const key = field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      assert.match(text, new RegExp(`^\\| \`${key}[.\`]`, 'm'), `${file} says nothing of "${key}"`);
    }
  }
});

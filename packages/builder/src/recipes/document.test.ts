// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import {
  assert as assertProperty,
  constantFrom,
  nat,
  oneof,
  property,
  string,
  tuple,
  uint8Array,
} from 'fast-check';
import { parseRecipe } from '@mbl/formats';
import { imageShape } from './image.ts';
import { readLayer } from './layer.ts';
import { machineShape } from './machine.ts';

const os = join(import.meta.dirname, '../../../../os');

void test('no bytes make a reader of recipes throw anything but its own error', () => {
  const recipes = ['machines/qemu-arm64.yaml', 'images/production.yaml'].map((name) =>
    readFileSync(join(os, name)),
  );
  const changed = tuple(constantFrom(...recipes), nat(), string({ maxLength: 4 })).map(
    ([bytes, at, text]) => {
      const place = at % bytes.length;
      return Buffer.concat([
        bytes.subarray(0, place),
        Buffer.from(text),
        bytes.subarray(place + text.length),
      ]);
    },
  );
  const yaml = string({ unit: constantFrom(...'ab: -[]{},"\'\n#&*!|>%@`?\t0~'), maxLength: 60 });
  const input = oneof(
    uint8Array({ maxLength: 200 }),
    yaml.map((text) => Buffer.from(text)),
    changed,
  );
  assertProperty(
    property(input, (bytes) => {
      for (const read of [
        () => imageShape.read(parseRecipe('/x.yaml', bytes, 'the image')),
        () => machineShape.read(parseRecipe('/x.yaml', bytes, 'the machine')),
        () => readLayer(parseRecipe('/x.yaml', bytes, 'the layer')),
      ]) {
        try {
          read();
        } catch (error) {
          assert.ok(error instanceof MblError, String(error));
          assert.match(error.message, /x\.yaml:\d+:\d+: /);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

void test('a recipe has an end: size, depth, aliases, text', () => {
  const refuse = (content: string | Uint8Array, message: RegExp): void => {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    assert.throws(
      () => imageShape.read(parseRecipe('/x.yaml', bytes, 'the image')),
      (error: unknown) => {
        assert.ok(error instanceof MblError, String(error));
        assert.match(error.message, message);
        return true;
      },
    );
  };
  refuse('#'.repeat(300_000), /larger than 256 KiB/);
  refuse('['.repeat(200_000), /x.yaml:1:\d+: /);
  refuse('title: '.concat('{a: '.repeat(50_000)), /x.yaml:1:\d+: /);
  refuse('- '.repeat(100_000), /x.yaml:1:\d+: /);
  refuse('a: &a [x]\nb: [*a, *a]\n', /anchors/);
  refuse('title: !!js/function x', /x.yaml:1:8: /);
  refuse(Uint8Array.of(0x74, 0xff), /not UTF-8/);
  refuse('title: a\n---\ntitle: b\n', /x.yaml:\d+:1: /);
  refuse('1: x', /x.yaml:1:1: .*key/);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { assert as assertProperty, constantFrom, nat, property, string, tuple } from 'fast-check';
import { appFields } from './app-file.ts';
import { templates } from './new-app.ts';
import { loadApp, readApp } from './read.ts';

const root = join(import.meta.dirname, '../../../..');
const examples = join(root, 'examples/apps');

test('every example is well formed, and says what it is made of', async () => {
  const folders = readdirSync(examples, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.deepEqual(folders.map(({ name }) => name).toSorted(), [...templates]);
  for (const name of templates) {
    const { app } = await loadApp(join(examples, name));
    assert.ok(app.command, name);
    assert.ok(app.source.root ?? app.source.containerfile, name);
  }
});

test('every key is in the reference', () => {
  const page = readFileSync(join(root, 'docs/reference/app-file.md'), 'utf8');
  for (const field of Object.keys(appFields)) {
    const key = field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    assert.match(page, new RegExp(`^\\| \`${key}[.\`[]`, 'm'), `the page says nothing of "${key}"`);
  }
});

const refuse = (text: string, message: RegExp): void => {
  assert.throws(
    () => readApp('/app.yaml', Buffer.from(text)),
    (error: unknown) => {
      assert.ok(error instanceof MblError, String(error));
      assert.equal(error.code, 'formats/bad-recipe');
      assert.match(error.message, message);
      return true;
    },
  );
};

test('what cannot be is refused with its line', () => {
  const head = 'name: a\nversion: "1"\n';
  refuse('version: "1"\n', /app\.yaml:1:1: "name" is missing/);
  refuse('name: A\nversion: "1"\n', /:1:7: "name" must be a small letter/);
  refuse('name: kernel\nversion: "1"\n', /:1:7: "name" must be/);
  refuse('name: a\nversion: 1.0\n', /:2:10: "version" must be/);
  refuse(`${head}privileged: true\n`, /:3:1: "privileged" is not a key of the app/);
  refuse(`${head}permissions: { host-paths: [/etc] }\n`, /"host-paths" is not a key/);
  refuse(`${head}permissions: { devices: [/dev/../etc/shadow] }\n`, /a path below \/dev/);
  refuse(`${head}permissions: { devices: [/etc/shadow] }\n`, /a path below \/dev/);
  refuse(`${head}permissions: { bus: { own: [nodot] } }\n`, /a name of D-Bus/);
  refuse(
    `${head}permissions: { ports: { a: { port: 1 }, b: { port: 2, published: 1 } } }\n`,
    /both published as 1\/tcp/,
  );
  refuse(`${head}permissions: { ports: { a: { port: 65536 } } }\n`, /from 1 to 65535/);
  refuse(`${head}volumes: { data: { path: /proc/x } }\n`, /cannot be at \/proc\/x/);
  refuse(`${head}volumes: { data: { path: / } }\n`, /an absolute path/);
  refuse(`${head}volumes: { a: { path: /d }, b: { path: /d/e } }\n`, /in one another/);
  refuse(`${head}volumes: { data: { path: data } }\n`, /an absolute path/);
  refuse(`${head}environment: { "A B": x }\n`, /:3:16: "A B" is no name of a variable/);
  refuse(`${head}environment: { A: 1 }\n`, /must be a line of text/);
  refuse(`${head}command: []\n`, /must have a program/);
  refuse(`${head}stop: { grace: 1 h }\n`, /at most 600 s/);
  refuse(`${head}limits: { memory: 64 }\n`, /a size with its unit/);
  refuse(`${head}source: { image: a, root: b }\n`, /one of image, root/);
  const resource = (text: string) => `${head}resources: [{ ${text} }]\n`;
  refuse(resource('path: /3303/0, type: float, operations: [read]'), /object\/instance\/resource/);
  refuse(resource('path: /3303/0/1, type: float, operations: [execute]'), /"execute" is for the type "none"/);
  refuse(resource('path: /3303/0/1, type: none, operations: [read]'), /"execute" is for the type "none"/);
  refuse(resource('path: /65535/0/1, type: float, operations: [read]'), /object\/instance\/resource/);
});

test('no bytes make the reader throw anything but its own error', () => {
  const good = readFileSync(join(examples, 'python/app.yaml'), 'utf8');
  const changed = tuple(
    nat(good.length),
    string({ maxLength: 4, unit: constantFrom(...'a1: -[]{},"\n&*!|>/.') }),
  ).map(([at, text]) => good.slice(0, at) + text + good.slice(at + text.length));
  assertProperty(
    property(changed, (text) => {
      try {
        readApp('/app.yaml', Buffer.from(text));
      } catch (error) {
        assert.ok(error instanceof MblError, String(error));
        assert.match(error.message, /app\.yaml:\d+:\d+: /);
      }
    }),
    { numRuns: 300 },
  );
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { busErrorNames } from './bus-error.ts';
import { appInterfaces, interfaceXml, introspect } from './interfaces.ts';

const page = readFileSync(new URL('../../../../../docs/reference/app-bus.md', import.meta.url), 'utf8');

test('the reference has the interfaces as they are introspected', () => {
  const xml = appInterfaces.map(interfaceXml).join('\n');
  assert.ok(
    page.includes(`\`\`\`xml\n<node>\n${xml}\n</node>\n\`\`\``),
    `docs/reference/app-bus.md lacks:\n${xml}`,
  );
});

test('the reference has every method, signal and error that an app meets', () => {
  for (const { methods, signals } of appInterfaces)
    for (const name of [...Object.keys(methods), ...Object.keys(signals)])
      assert.ok(page.includes(`\`${name}\``), name);
  const usual = /\.(?:PropertyReadOnly|Unknown\w+)$/;
  for (const name of busErrorNames) assert.ok(usual.test(name) || page.includes(`\`${name}\``), name);
});

test('a path without an object below it is not introspected', () => {
  assert.equal(introspect('/com/mbl/Cloud'), undefined);
  assert.equal(introspect('/org'), undefined);
  assert.match(introspect('/com/mbl/Device1') ?? '', /org\.freedesktop\.DBus\.Properties/);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { policyFiles, readPolicy } from './policy.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-policy-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const digest = (digit: string): string => digit.repeat(64);

test("a layer's policy adds to the distribution's", async () => {
  mkdirSync(join(folder, 'os/rootfs'), { recursive: true });
  mkdirSync(join(folder, 'layer'));
  mkdirSync(join(folder, 'plain'));
  const one = `users: { a: 1 }\ntrim: [x/]\nlinks: { l: m }\nreviewed:\n  p:\n    - "${digest('1')}"\n`;
  writeFileSync(join(folder, 'os/rootfs/policy.yaml'), one);
  writeFileSync(
    join(folder, 'layer/policy.yaml'),
    `users: { b: 2 }\ntrim: [y/]\nreviewed:\n  p: ["${digest('2')}"]\n`,
  );
  const files = policyFiles(join(folder, 'os'), [join(folder, 'plain'), join(folder, 'layer')]);
  assert.deepEqual(await readPolicy(files), {
    users: { a: 1, b: 2 },
    groups: {},
    scaffolding: [],
    trim: ['x/', 'y/'],
    links: { l: 'm' },
    modes: {},
    reviewed: { p: [digest('1'), digest('2')] },
  });
});

test('a mistake is shown with file and line', async () => {
  const file = join(folder, 'bad.yaml');
  writeFileSync(file, 'users:\n  a: none\n');
  await assert.rejects(readPolicy([file]), { code: 'formats/bad-recipe', message: /bad\.yaml:2/ });
});

test("the distribution's own policy is valid, and no two accounts have one number", async () => {
  const { users, groups } = await readPolicy(policyFiles(resolve(import.meta.dirname, '../../../../os')));
  const numbers = [...Object.values(users), ...Object.values(groups)];
  assert.equal(new Set(numbers).size, numbers.length);
  assert.ok(numbers.length > 10);
});

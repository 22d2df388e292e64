// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { selectTests } from './select.ts';

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'mbl-select-'));
  for (const path of [
    'packages/a/src/x.test.ts',
    'packages/a/src/deep/y.test.ts',
    'packages/a/src/y.ts',
    'packages/b/src/z.test.ts',
    'tools/checks/c.test.ts',
    'tools/d.test.ts',
    'tests/boot.story.ts',
    'tests/support/help.ts',
  ]) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), '');
  }
});
after(async () => await rm(root, { recursive: true, force: true }));

const packageA = { name: 'packages/a', files: ['packages/a/src/deep/y.test.ts', 'packages/a/src/x.test.ts'] };
const packageB = { name: 'packages/b/src/z.test.ts', files: ['packages/b/src/z.test.ts'] };
const tools = { name: 'tools', files: ['tools/checks/c.test.ts', 'tools/d.test.ts'] };
const boot = { name: 'tests/boot.story.ts', files: ['tests/boot.story.ts'] };

test('nothing is everything, unit and system its halves', async () => {
  assert.deepEqual(await selectTests(root, []), {
    checks: true,
    units: [packageA, packageB, tools],
    stories: [boot],
  });
  assert.deepEqual(await selectTests(root, ['all']), await selectTests(root, []));
  assert.deepEqual(await selectTests(root, ['unit']), {
    checks: true,
    units: [packageA, packageB, tools],
    stories: [],
  });
  assert.deepEqual(await selectTests(root, ['system']), { checks: false, units: [], stories: [boot] });
});

test('a file, a package, a folder and a story are found by path or name', async () => {
  const only = (part: object) => ({ checks: false, units: [], stories: [], ...part });
  for (const word of ['boot', 'tests/boot.story.ts', join(root, 'tests/boot.story.ts')]) {
    assert.deepEqual(await selectTests(root, [word], '/'), only({ stories: [boot] }), word);
  }
  assert.deepEqual(await selectTests(root, ['a']), only({ units: [packageA] }));
  assert.deepEqual(await selectTests(root, ['tools']), only({ units: [tools] }));
  assert.deepEqual(await selectTests(root, ['packages/b/']), only({ units: [packageB] }));
  assert.deepEqual(
    await selectTests(root, ['boot.story.ts'], join(root, 'tests')),
    only({ stories: [boot] }),
  );
  assert.deepEqual(await selectTests(root, ['b', 'boot']), only({ units: [packageB], stories: [boot] }));
});

test('a word that names no test is refused', async () => {
  for (const word of ['nothing', 'packages/a/src/y.ts', '../x', 'tests/support']) {
    await assert.rejects(selectTests(root, [word]), { code: 'cli/unknown-test' }, word);
  }
});

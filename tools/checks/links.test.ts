// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFinding } from './check.ts';
import { checkLinks } from './links.ts';

test('links lead somewhere: from the page that has them, anchors and addresses apart', async () => {
  const pages = [
    { path: 'README.md', text: '[a](docs/a.md#part) [b](https://example.com) [c](#here)\n[d](docs/d.md)' },
    { path: 'docs/a.md', text: '[up](../README.md) [beside](b.md)' },
  ];
  const there = new Set(['README.md', 'docs/a.md']);
  assert.deepEqual((await checkLinks(pages, async (path) => there.has(path))).map(formatFinding), [
    'README.md:2: links to docs/d.md, which is not there',
    'docs/a.md:1: links to b.md, which is not there',
  ]);
});

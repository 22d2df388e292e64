// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LockedPackage } from '../recipes/lock.ts';
import { toolboxes } from './contents.ts';
import { type LockedTools, taskTools, toolVersions } from './locked.ts';

const packageOf = (name: string, version: string, architecture: string): LockedPackage => ({
  name,
  version,
  architecture,
  suite: 'trixie',
  path: `pool/${name}_${version}_${architecture}.deb`,
  sha256: version.padStart(64, '0').replaceAll(/[^0-9a-f]/g, '0'),
  size: 1,
});
const box = (amd64: string, arm64: string) => ({
  amd64: [packageOf('gdisk', amd64, 'amd64')],
  arm64: [packageOf('gdisk', arm64, 'arm64')],
});
const tools = (amd64 = '1', arm64 = '2'): LockedTools => ({
  compile: box('1', '1'),
  image: box(amd64, arm64),
  run: box('1', '1'),
});

test("a build's tools are the same value on every kind of host: what Debian rebuilt on one of them counts on both", () => {
  const versions = (amd64: string, arm64: string) => toolVersions(tools(amd64, arm64));
  assert.notDeepEqual(versions('3', '2').image, versions('1', '2').image);
  assert.notDeepEqual(versions('1', '3').image, versions('1', '2').image);
  assert.deepEqual(versions('3', '3').compile, versions('1', '2').compile);
});

test('which program stands behind a name is part of what a toolbox is', (t) => {
  const identity = () => JSON.stringify(taskTools(tools(), '/nowhere').image.identity);
  const versions = () => JSON.stringify(toolVersions(tools()).image);
  const before = [identity(), versions()];
  t.mock.property(toolboxes.image, 'links', { awk: 'gawk' });
  assert.notEqual(identity(), before[0]);
  assert.notEqual(versions(), before[1]);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildContainerfile, fetchImage } from './make.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-make-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Programs that note how they were called, and make what they are asked for. */
const programs = join(folder, 'bin');
mkdirSync(programs);
const script = (name: string, text: string) =>
  writeFileSync(join(programs, name), `#!/bin/sh\necho "$0 $*" >>${folder}/calls\n${text}\n`, {
    mode: 0o755,
  });
const environment = { PATH: `${programs}:/usr/bin:/bin` };

test('an image is asked of skopeo for the machine of the devices', async () => {
  script('skopeo', 'exit 0');
  const scratch = mkdtempSync(join(folder, 's-'));
  assert.equal(
    await fetchImage('docker.io/library/nginx:1', { scratch, environment }),
    join(scratch, 'image'),
  );
  assert.match(
    readFileSync(join(folder, 'calls'), 'utf8'),
    /skopeo --override-os linux --override-arch arm64 copy docker:\/\/docker\.io\/library\/nginx:1 oci:.*\/image:app\n$/,
  );
});

test('an image is made of a Containerfile by buildah, and what it says when it fails is passed on', async () => {
  script('buildah', 'while [ "$1" ]; do [ "$1" != --iidfile ] || echo sha256:1234 >"$2"; shift; done');
  const scratch = mkdtempSync(join(folder, 's-'));
  await buildContainerfile('/app/Containerfile', { scratch, environment });
  const calls = readFileSync(join(folder, 'calls'), 'utf8');
  assert.match(calls, /buildah bud --platform linux\/arm64 .*--file \/app\/Containerfile \/app\n/);
  assert.match(calls, /buildah push sha256:1234 oci:.*\/image:app\n$/);
  script('buildah', 'echo "no such base" >&2; exit 3');
  await assert.rejects(buildContainerfile('/app/Containerfile', { scratch, environment }), {
    code: 'apps/tool-failed',
    message: /status 3[^]*no such base/,
  });
});

test('who does not have the tool is told how to do without', async () => {
  const scratch = mkdtempSync(join(folder, 's-'));
  await assert.rejects(fetchImage('x', { scratch, environment: { PATH: scratch } }), {
    code: 'apps/no-tool',
    remedy: /apt install skopeo.*docker save/,
  });
  assert.ok(existsSync(scratch));
});

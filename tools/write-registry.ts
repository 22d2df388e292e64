// SPDX-License-Identifier: Apache-2.0
//
// node tools/write-registry.ts FOLDER COMMIT: makes the definitions of the LwM2M objects again from the XML files of OMA's registry in FOLDER
// and in its version_history, of which COMMIT is the state.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findWorkspace } from '@mbl/cli';
import { collect, render } from './registry/collect.ts';

const [folder, commit = ''] = process.argv.slice(2);
if (folder === undefined || !/^[0-9a-f]{40}$/.test(commit)) {
  process.stderr.write('Usage: node tools/write-registry.ts FOLDER COMMIT (40 hex digits)\n');
  process.exit(2);
}

const files: { name: string; text: string }[] = [];
for (const part of ['.', 'version_history']) {
  for (const name of (await readdir(join(folder, part))).toSorted()) {
    if (!/^\d{1,5}(-\d+_\d+)?\.xml$/.test(name)) continue;
    files.push({ name: join(part, name), text: await readFile(join(folder, part, name), 'utf8') });
  }
}
const collection = collect(files);
const target = join(findWorkspace().root, 'packages/lwm2m/src/registry/oma-objects.json');
await writeFile(target, render(collection, commit));
for (const line of collection.leftOut) process.stdout.write(`left out: ${line}\n`);
process.stdout.write(`${collection.objects.length} definitions\n`);

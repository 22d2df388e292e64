// SPDX-License-Identifier: Apache-2.0
//
// node packages/cli/src/checks/write-error-catalogue.ts: brings docs/reference/errors.md up to date with the code.
import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cataloguePath, updateErrorCatalogue } from './error-catalogue.ts';
import { readSources } from './sources.ts';

const root = resolve(import.meta.dirname, '../../../..');
const path = join(root, cataloguePath);
await writeFile(path, updateErrorCatalogue(await readSources(root), await readFile(path, 'utf8')));

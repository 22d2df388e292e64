// SPDX-License-Identifier: Apache-2.0
//
// node tools/write-pages.ts: brings the pages of docs/reference that come from the code up to date.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeProgram, findWorkspace } from '@mbl/cli';
import { cliPagePath, renderCliPage } from './checks/cli-page.ts';
import { cataloguePath, updateErrorCatalogue } from './checks/error-catalogue.ts';
import { eventsPagePath, renderEventsPage } from './checks/events-page.ts';
import { readSources } from './checks/sources.ts';
import { renderUpdateReasonsPage, updateReasonsPagePath } from './checks/update-reasons-page.ts';

const { root } = findWorkspace();

async function rewrite(path: string, change: (page: string) => string): Promise<void> {
  const file = join(root, path);
  await writeFile(file, change(await readFile(file, 'utf8')));
}

const sources = await readSources(root);
await rewrite(cataloguePath, (page) => updateErrorCatalogue(sources, page));
await rewrite(cliPagePath, (page) => renderCliPage(describeProgram(), page));
await rewrite(eventsPagePath, renderEventsPage);
await rewrite(updateReasonsPagePath, renderUpdateReasonsPage);

// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeProgram } from '@mbl/cli';
import { checkArrows, checkUnused, type Manifest, readArrows } from './arrows.ts';
import { type Finding, formatFinding, type SourceFile } from './check.ts';
import { checkCliPage, cliPagePath } from './cli-page.ts';
import { checkDependencies, decisionPath } from './dependencies.ts';
import { cataloguePath, checkErrorCatalogue } from './error-catalogue.ts';
import { checkEventsPage, eventsPagePath } from './events-page.ts';
import { checkFiles } from './files.ts';
import { checkLinks } from './links.ts';
import { readPages, readSources } from './sources.ts';
import { checkUpdateReasonsPage, updateReasonsPagePath } from './update-reasons-page.ts';

/** A check of the repository: it passes when it finds nothing to say. */
export interface RepositoryCheck {
  readonly title: string;
  run(signal: AbortSignal): Promise<string[]>;
}

/** Where TypeScript is. */
const folders = ['packages', 'tools', 'tests', 'bench'];

/** The checks that `mbl test` and `mbl test unit` start with. */
export function repositoryChecks(root: string): RepositoryCheck[] {
  let sources: Promise<SourceFile[]> | undefined;
  const read = () => (sources ??= readSources(root));
  const findings = async (check: (files: readonly SourceFile[]) => Promise<Finding[]> | Finding[]) =>
    (await check(await read())).map(formatFinding);
  return [
    {
      title: 'types (tsc)',
      run: (signal) => tool(root, 'tsc', ['--project', '.', '--pretty', 'false'], signal),
    },
    {
      title: 'format (biome)',
      run: (signal) =>
        tool(
          root,
          'biome',
          ['format', '--max-diagnostics=20', ...folders, 'package.json', 'tsconfig.json'],
          signal,
        ),
    },
    { title: 'lint (oxlint)', run: (signal) => tool(root, 'oxlint', folders, signal) },
    {
      title: 'arrows, front doors, circles',
      run: () =>
        findings(async (files) => {
          const context = {
            arrows: readArrows(await readFile(join(root, 'ARCHITECTURE.md'), 'utf8')),
            manifests: await readManifests(root),
            root: await readManifest(root),
          };
          return [...checkArrows(files, context), ...checkUnused(files, context)];
        }),
    },
    { title: 'licence lines, file length, file names', run: () => findings(checkFiles) },
    {
      title: 'reasons of dependencies',
      run: () =>
        findings(async () => {
          const manifests = [...(await readManifests(root))].map(
            ([name, manifest]) => [`packages/${name}/package.json`, manifest] as const,
          );
          const all = new Map([['package.json', await readManifest(root)], ...manifests]);
          return checkDependencies(all, await readFile(join(root, decisionPath), 'utf8'));
        }),
    },
    {
      title: 'catalogue of error codes',
      run: () =>
        findings(async (files) =>
          checkErrorCatalogue(files, await readFile(join(root, cataloguePath), 'utf8')),
        ),
    },
    {
      title: 'links of pages',
      run: () =>
        findings(async () =>
          checkLinks(
            await readPages(root),
            async (path) =>
              await access(join(root, path)).then(
                () => true,
                () => false,
              ),
          ),
        ),
    },
    {
      title: 'reference of the command line',
      run: () =>
        findings(async () =>
          checkCliPage(describeProgram(), await readFile(join(root, cliPagePath), 'utf8')),
        ),
    },
    {
      title: 'reference of the events',
      run: () => findings(async () => checkEventsPage(await readFile(join(root, eventsPagePath), 'utf8'))),
    },
    {
      title: 'reference of the reasons of updates',
      run: () =>
        findings(async () =>
          checkUpdateReasonsPage(await readFile(join(root, updateReasonsPagePath), 'utf8')),
        ),
    },
  ];
}

/** Runs one of the development tools; returns its lines when it fails, none when it passes. */
function tool(root: string, name: string, args: readonly string[], signal: AbortSignal): Promise<string[]> {
  const options = { cwd: root, signal, maxBuffer: 64 << 20, env: { ...process.env, NO_COLOR: '1' } };
  return new Promise((resolve, reject) => {
    execFile(join(root, 'node_modules/.bin', name), args, options, (error, stdout, stderr) => {
      if (error === null) resolve([]);
      else if (typeof error.code === 'number') resolve(`${stdout}${stderr}`.trimEnd().split('\n'));
      else reject(error);
    });
  });
}

async function readManifests(root: string): Promise<Map<string, Manifest>> {
  const names = (await readdir(join(root, 'packages'))).toSorted();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readManifest(join(root, 'packages', name))] as const),
    ),
  );
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
}

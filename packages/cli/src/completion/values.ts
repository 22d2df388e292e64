// SPDX-License-Identifier: Apache-2.0
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Workspace } from '../workspace.ts';
import type { Candidate, ValueSource } from './complete.ts';

/** Names of what is there: machines, images, boards, devices, groups, releases, tests. Nothing is worth an error while somebody types. */
export function workspaceValues(
  workspace: Workspace,
  ofService: (kind: 'device' | 'group' | 'release') => Promise<readonly Candidate[]>,
): ValueSource {
  return async (kind) => {
    switch (kind) {
      case 'machine':
        return await stems(join(workspace.root, 'os/machines'));
      case 'image':
        return await stems(join(workspace.root, 'os/images'));
      case 'board':
        return await entries(join(workspace.state, 'boards'));
      case 'device':
      case 'group':
      case 'release':
        return await ofService(kind).catch(() => []);
      case 'member':
        return await ofService('device').catch(() => []);
      case 'what':
        return [
          { value: 'unit', description: 'the checks, and the tests of packages and tools' },
          { value: 'system', description: 'the stories' },
          ...(await entries(join(workspace.root, 'tests'))).filter(({ value }) =>
            value.endsWith('.story.ts'),
          ),
          ...(await entries(join(workspace.root, 'packages'))),
          { value: 'tools' },
        ].map(({ value, ...rest }) => ({
          value: value.endsWith('.story.ts') ? `tests/${value}` : value,
          ...rest,
        }));
      case 'layer':
      case 'keys':
        return 'folders';
      default:
        return [];
    }
  };
}

async function entries(folder: string): Promise<Candidate[]> {
  const names = await readdir(folder).catch((): string[] => []);
  return names.toSorted().map((value) => ({ value }));
}

/** The names of recipes. */
async function stems(folder: string): Promise<Candidate[]> {
  const files = (await entries(folder)).filter(({ value }) => value.endsWith('.yaml'));
  return files.map(({ value }) => ({ value: value.replace(/\.yaml$/, '') }));
}

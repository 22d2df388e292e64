// SPDX-License-Identifier: Apache-2.0
import { listBoards } from '../workbench/boards.ts';
import { clientOf, findService } from '../workbench/service.ts';
import type { Workspace } from '../workspace.ts';
import type { Diagnosis } from './finding.ts';

const shownNames = 5;
const mostDevices = 100;

/**
 * Boards of the workspace, and devices in the directory of its service while that runs, whose image development keys signed.
 */
export async function checkKeys(workspace: Workspace, signal: AbortSignal): Promise<Diagnosis[]> {
  const boards = (await listBoards(workspace))
    .filter(({ image }) => image.keys !== 'production')
    .map(({ name }) => name);
  const service = await findService(workspace);
  const devices =
    service === undefined
      ? []
      : await clientOf(service)
          .listDevices({ signal, limit: mostDevices, filter: { image_keys__eq: 'development' } })
          .catch(() => []);
  const others = devices
    .map(({ id, endpoint_name: name }) => (name === '' ? id : name))
    .filter((name) => !boards.includes(name));
  return [...finding('board', boards), ...finding('device', others)];
}

function finding(kind: string, names: readonly string[]): Diagnosis[] {
  if (names.length === 0) return [];
  const more = names.length > shownNames ? ` and ${names.length - shownNames} more` : '';
  return [
    {
      what: `keys of ${kind}s`,
      state: 'warning',
      found: `development keys signed what ${names.slice(0, shownNames).join(', ')}${more} ${names.length === 1 ? 'runs' : 'run'}`,
      remedy:
        'Fine at the desk, never in a product. For one: ./mbl keys init --production --keys FOLDER, then ./mbl build --image production --keys FOLDER',
    },
  ];
}

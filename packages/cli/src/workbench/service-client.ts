// SPDX-License-Identifier: Apache-2.0
import type { ServiceFile } from '@mbl/formats';
import { ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Workspace } from '../workspace.ts';
import { findService } from './service-daemon.ts';

export function clientOf({ http, apiKey }: ServiceFile): ServiceClient {
  return new ServiceClient({ url: http, apiKey });
}

/** A client of the workspace's running service. Throws `cli/service-stopped`. */
export async function connectService(workspace: Workspace): Promise<ServiceClient> {
  const service = await findService(workspace);
  if (service !== undefined) return clientOf(service);
  throw new MblError('cli/service-stopped', 'The device management service does not run.', {
    remedy: 'Start it, with a board: ./mbl up',
  });
}

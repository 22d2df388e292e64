// SPDX-License-Identifier: Apache-2.0
import type { DeviceGroup, ServiceClient } from '@mbl/service';
import type { Cli } from '../../cli.ts';
import { required } from '../../verb.ts';

/** A group is always the first word, by its name or its id. */
export const groupArgument = required('its name or its id');

/** The group of this name or id, and a client to speak of it. Errors: `cli/service-stopped`, `service/no-such-group`. */
export async function findGroup(
  { workspace, signal }: Cli,
  idOrName: string,
): Promise<{ client: ServiceClient; group: DeviceGroup }> {
  const { connectService } = await import('../../workbench/service.ts');
  const client = await connectService(workspace);
  return { client, group: await client.groups.find(idOrName, { signal }) };
}

// SPDX-License-Identifier: Apache-2.0
import { isTeam, osTeam, teamRule } from '@mbl/formats';
import { z } from 'zod';
import { HttpError } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceGroups } from '../device-groups/groups.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { Catalogue } from '../releases/catalogue.ts';
import { mustKnow, releaseWanted } from '../releases/wanted.ts';
import type { AppCarrier } from './carrier.ts';
import { deviceAppRelease, deviceApps, groupAppRelease } from './model.ts';
import type { AppOrders, AppOwner } from './orders.ts';
import { type AppViews, noOrder } from './views.ts';

const tags = ['apps of devices'];
const isAppTeam = (text: string) => isTeam(text) && text !== osTeam;
const params = z.object({ id: z.string() });
const teamParams = z.object({
  id: z.string(),
  team: z.string().refine(isAppTeam, `Must be ${teamRule}; not "${osTeam}"`),
});
const noDevice = 'There is no such device';
const noGroup = 'There is no such device group';
const tooMany = 'There are orders for as many teams as a device can be told of';

export interface AppRouteParts {
  readonly directory: DeviceDirectory;
  readonly groups: DeviceGroups;
  readonly catalogue: Catalogue;
  readonly orders: AppOrders;
  readonly carrier: AppCarrier;
  readonly views: AppViews;
}

/** Which release of a team's apps devices are to have, and which they have. */
export function appRoutes(app: App, parts: AppRouteParts): void {
  const { directory, groups, catalogue, orders, carrier, views } = parts;

  /** Changes an order, and tells the devices that it concerns: in any case, for it may be written down and the answer to that be lost. */
  async function change(owner: AppOwner, act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } finally {
      if ('device_id' in owner) carrier.ordered([owner.device_id]);
      else
        await groups.members(owner.group_id).then(
          (deviceIds) => carrier.ordered(deviceIds),
          () => carrier.orderedAll(),
        );
    }
  }

  async function groupOrder(groupId: string, team: string) {
    const order = (await orders.of({ group_id: groupId })).find((row) => row.team === team);
    if (order === undefined) throw noOrder(team);
    return await views.ofGroup(order);
  }

  app.get(
    '/v3/devices/:id/apps',
    {
      config: { refusals: { not_found: noDevice } },
      schema: {
        tags,
        summary: 'The apps that a device is to have, beside those that it has',
        params,
        response: { 200: deviceApps },
      },
    },
    async ({ params: { id } }) => {
      await directory.get(id);
      return await views.ofDevice(id);
    },
  );

  app.get(
    '/v3/devices/:id/apps/:team',
    {
      config: { refusals: { not_found: 'There is no such device, or no release of this team for it' } },
      schema: {
        tags,
        summary: 'How the apps of a team stand on a device',
        params: teamParams,
        response: { 200: deviceAppRelease },
      },
    },
    async ({ params: { id, team } }) => {
      await directory.get(id);
      const found = await views.ofTeam(id, team);
      if (found === undefined) throw noOrder(team);
      return found;
    },
  );

  app.put(
    '/v3/devices/:id/apps/:team',
    {
      config: { refusals: { not_found: noDevice, conflict: tooMany } },
      schema: {
        tags,
        summary: "Have a device get a release of a team's apps, whatever its groups are to have",
        params: teamParams,
        body: releaseWanted,
        response: { 200: deviceAppRelease },
      },
    },
    async ({ params: { id, team }, body }) => {
      await directory.get(id);
      await mustKnow(catalogue, body, team);
      const owner = { device_id: id };
      await change(owner, () => orders.put(owner, team, body));
      const found = await views.ofTeam(id, team);
      // Taken away again by somebody else.
      if (found === undefined) throw new HttpError('not_found', `The order for ${team} is gone`);
      return found;
    },
  );

  app.delete(
    '/v3/devices/:id/apps/:team',
    {
      config: { refusals: { not_found: noDevice } },
      schema: {
        tags,
        summary:
          "End a device's own order for a team: it gets what its groups are to have, or none of the apps",
        params: teamParams,
        response: { 200: deviceApps },
      },
    },
    async ({ params: { id, team } }) => {
      await directory.get(id);
      const owner = { device_id: id };
      await change(owner, () => orders.remove(owner, team));
      return await views.ofDevice(id);
    },
  );

  app.get(
    '/v3/device-groups/:id/apps',
    {
      config: { refusals: { not_found: noGroup } },
      schema: {
        tags,
        summary: 'The orders of a group for apps, and how they fare',
        params,
        response: { 200: z.array(groupAppRelease) },
      },
    },
    async ({ params: { id } }) => {
      await groups.get(id);
      return await Promise.all((await orders.of({ group_id: id })).map((order) => views.ofGroup(order)));
    },
  );

  app.get(
    '/v3/device-groups/:id/apps/:team',
    {
      config: { refusals: { not_found: 'There is no such device group, or no order for this team' } },
      schema: {
        tags,
        summary: "How the order of a group for a team's apps fares on its devices",
        params: teamParams,
        response: { 200: groupAppRelease },
      },
    },
    async ({ params: { id, team } }) => {
      await groups.get(id);
      return await groupOrder(id, team);
    },
  );

  app.put(
    '/v3/device-groups/:id/apps/:team',
    {
      config: { refusals: { not_found: noGroup, conflict: tooMany } },
      schema: {
        tags,
        summary:
          "Have each device of a group get a release of a team's apps, those too that come into it later",
        description:
          "A device's own order for the team holds before that of its groups; of two groups of one device the newer order holds.",
        params: teamParams,
        body: releaseWanted,
        response: { 200: groupAppRelease },
      },
    },
    async ({ params: { id, team }, body }) => {
      await groups.get(id);
      await mustKnow(catalogue, body, team);
      const owner = { group_id: id };
      await change(owner, () => orders.put(owner, team, body));
      return await groupOrder(id, team);
    },
  );

  app.delete(
    '/v3/device-groups/:id/apps/:team',
    {
      config: { refusals: { not_found: 'There is no such device group, or no order for this team' } },
      schema: {
        tags,
        summary: 'End the order of a group for a team',
        params: teamParams,
        response: { 200: groupAppRelease },
      },
    },
    async ({ params: { id, team } }) => {
      await groups.get(id);
      const before = await groupOrder(id, team);
      const owner = { group_id: id };
      await change(owner, () => orders.remove(owner, team));
      return before;
    },
  );
}

// SPDX-License-Identifier: Apache-2.0
import { osTeam } from '@mbl/formats';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { pageOf } from '../../infra/http/lists.ts';
import type { App } from '../../infra/http/server.ts';
import type { Catalogue } from './catalogue.ts';
import { release, toRelease } from './model.ts';

const tags = ['releases'];
const params = z.object({ name: z.string() });
const ofTeam = z.object({ team: z.string().max(64).optional().describe('Whose release; `os` when absent') });

/** How many devices are named; how many there are is said in any case. */
const mostDevices = 1000;

const named = z.array(z.object({ device_id: z.string(), endpoint_name: z.string() }));
const oneRelease = release
  .extend({
    running_count: z.number().int(),
    running: named.describe('Devices that run it; the first 1000'),
    ordered_count: z.number().int(),
    ordered: named.describe('Devices with a running order to go to it; the first 1000'),
  })
  .meta({ id: 'ReleaseWithDevices' });

export type ReleaseWithDevices = z.infer<typeof oneRelease>;

export interface ReleaseRouteParts {
  readonly catalogue: Catalogue;
  /** Names what devices run by the releases that there are now. */
  readonly refresh: () => Promise<void>;
}

/** The releases that the service has for devices. */
export function releaseRoutes(
  app: App,
  { db, accountId }: Context,
  { catalogue, refresh }: ReleaseRouteParts,
): void {
  app.get(
    '/v3/releases',
    {
      schema: { tags, summary: 'List the releases that devices can get', response: { 200: pageOf(release) } },
    },
    async () => {
      const data = (await catalogue.list()).map(toRelease);
      return {
        object: 'list' as const,
        limit: data.length,
        after: null,
        order: 'ASC' as const,
        has_more: false,
        total_count: data.length,
        data,
      };
    },
  );

  app.get(
    '/v3/releases/:name',
    {
      config: { refusals: { not_found: 'There is no such release' } },
      schema: {
        tags,
        summary: 'One release, and the devices that run it or are ordered to go to it',
        params,
        querystring: ofTeam,
        response: { 200: oneRelease },
      },
    },
    async ({ params: { name }, query: { team = osTeam } }) => {
      const found = await catalogue.find(name, team);
      if (found === undefined) throw new HttpError('not_found', 'No such release');
      await refresh();
      const devices = () =>
        db
          .selectFrom('devices')
          .select(['devices.id', 'devices.endpoint_name', sql<string>`count(*) over ()`.as('count')])
          .where('devices.account_id', '=', accountId)
          .orderBy('devices.id')
          .limit(mostDevices);
      // Those of a team of an app are not what a device runs as a whole.
      const [running, ordered] =
        team === osTeam
          ? await Promise.all([
              devices().where('devices.release', '=', name).execute(),
              devices()
                .innerJoin('release_orders', 'release_orders.device_id', 'devices.id')
                .where('release_orders.release', '=', name)
                .where('release_orders.ended_at', 'is', null)
                .execute(),
            ])
          : [[], []];
      const names = (rows: typeof running) =>
        rows.map((row) => ({ device_id: row.id, endpoint_name: row.endpoint_name ?? '' }));
      return {
        ...toRelease(found),
        running_count: Number(running[0]?.count ?? 0),
        running: names(running),
        ordered_count: Number(ordered[0]?.count ?? 0),
        ordered: names(ordered),
      };
    },
  );
}

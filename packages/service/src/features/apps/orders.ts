// SPDX-License-Identifier: Apache-2.0
import { mostDesiredReleases } from '@mbl/formats';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import type { Db } from '../../schema.ts';
import type { ReleaseWanted } from '../releases/wanted.ts';
import type { AppOrderRow } from './table.ts';

/** Whose order: a device's own, or that of the devices of a group. */
export type AppOwner = { readonly device_id: string } | { readonly group_id: string };

/** The orders of apps as they are written down: one a team, of a device or of a group, which stays until it is taken away. */
export class AppOrders {
  readonly #context: Context;
  /** One after the other: the later of two has the later id. */
  readonly #queue = new KeyedQueue();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Those of a device itself, or of a group, by their teams. */
  async of(owner: AppOwner, db: Db = this.#context.db): Promise<AppOrderRow[]> {
    const selected = db.selectFrom('app_orders').selectAll().orderBy('team');
    return 'device_id' in owner
      ? await selected.where('device_id', '=', owner.device_id).execute()
      : await selected.where('group_id', '=', owner.group_id).execute();
  }

  /** In the place of the order for this team that was there. The same order twice is one. Throws `conflict` where there are too many teams. */
  async put(owner: AppOwner, team: string, { release, repository }: ReleaseWanted): Promise<void> {
    const { db, newId, now, accountId } = this.#context;
    await this.#queue.run('orders', () =>
      db.transaction().execute(async (inside) => {
        const there = await this.of(owner, inside);
        const known = there.find((row) => row.team === team);
        if (known?.release === release && known.repository === (repository ?? null)) return;
        if (known === undefined && there.length >= mostDesiredReleases)
          throw new HttpError('conflict', `There are orders for ${mostDesiredReleases} teams already`);
        await this.#delete(owner, team, inside);
        await inside
          .insertInto('app_orders')
          .values({
            device_id: null,
            group_id: null,
            ...owner,
            ...{ id: newId(), account_id: accountId, team, release, repository: repository ?? null },
            created_at: new Date(now()),
          })
          .execute();
      }),
    );
  }

  /** Takes an order away; where there is none, nothing happens. */
  async remove(owner: AppOwner, team: string): Promise<void> {
    await this.#queue.run('orders', () => this.#delete(owner, team, this.#context.db));
  }

  async #delete(owner: AppOwner, team: string, db: Db): Promise<void> {
    const selected = db.deleteFrom('app_orders').where('team', '=', team);
    await ('device_id' in owner
      ? selected.where('device_id', '=', owner.device_id)
      : selected.where('group_id', '=', owner.group_id)
    ).execute();
  }
}

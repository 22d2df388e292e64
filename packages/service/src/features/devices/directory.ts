// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import type { Context } from '../../context.ts';
import { isUniqueViolation } from '../../infra/database.ts';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import type { DeviceChanges, NewDevice } from './model.ts';
import type { Db } from '../../schema.ts';
import type { DeviceRow, DeviceWithGroups } from './table.ts';

/** The groups of a row of `devices`, in a statement that reads or changes it. */
const groupIds = sql<
  string[]
>`array(select group_id from device_group_members where device_id = devices.id order by group_id)`.as(
  'group_ids',
);

/** Devices with the groups that they are in, to be filtered by columns of `devices`. */
export const withGroups = (db: Db) => db.selectFrom('devices').selectAll().select(groupIds);

/** A device as events name it. */
export type NamedDevice = Pick<DeviceRow, 'id' | 'endpoint_name'>;

/** What else must happen when the directory takes a device's rights away: its connection and its registration end. */
export type Disconnect = (device: NamedDevice, reason: string) => void;

/** The devices of the account: what the owner writes. Presence and registration belong to the edge. */
export class DeviceDirectory {
  readonly #context: Context;
  readonly #events: EventRecorder;

  constructor(context: Context, events: EventRecorder) {
    this.#context = context;
    this.#events = events;
  }

  async find(id: string): Promise<DeviceWithGroups | undefined> {
    const { db, accountId } = this.#context;
    return withGroups(db).where('account_id', '=', accountId).where('id', '=', id).executeTakeFirst();
  }

  async get(id: string): Promise<DeviceWithGroups> {
    const row = await this.find(id);
    if (row === undefined) throw noSuchDevice();
    return row;
  }

  async findByEndpointName(endpointName: string): Promise<DeviceRow | undefined> {
    return this.#context.db
      .selectFrom('devices')
      .selectAll()
      .where('account_id', '=', this.#context.accountId)
      .where('endpoint_name', '=', endpointName)
      .executeTakeFirst();
  }

  /** Throws `conflict` when another device has the endpoint name. */
  async create(fields: NewDevice): Promise<DeviceWithGroups> {
    const { newId, now, accountId } = this.#context;
    const at = new Date(now());
    const { custom_attributes, ...plain } = withoutUndefined(fields);
    try {
      return await this.#events.transaction(async (db, record) => {
        const row = await db
          .insertInto('devices')
          .values({
            ...plain,
            id: newId(),
            account_id: accountId,
            custom_attributes: JSON.stringify(custom_attributes ?? {}),
            created_at: at,
            updated_at: at,
          })
          .returningAll()
          .returning(groupIds)
          .executeTakeFirstOrThrow();
        await record({
          type: 'device.created',
          deviceId: row.id,
          endpointName: row.endpoint_name,
          description: 'The device was added to the directory',
        });
        return row;
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new HttpError(
        'conflict',
        `There is a device ${fields.endpoint_name} already`,
        [{ name: 'endpoint_name', message: 'In use' }],
        error,
      );
    }
  }

  async change(id: string, changes: DeviceChanges): Promise<DeviceWithGroups> {
    const before = await this.get(id);
    const { endpoint_name, device_key, custom_attributes, ...plain } = withoutUndefined(changes);
    const fixed = { endpoint_name, device_key };
    const wrong = (['endpoint_name', 'device_key'] as const).filter(
      (name) => fixed[name] !== undefined && fixed[name] !== (before[name] ?? ''),
    );
    if (wrong.length > 0) {
      throw invalid(wrong.map((name) => ({ name, message: 'Bound to the certificate of the device' })));
    }
    const attributes =
      custom_attributes === undefined ? {} : { custom_attributes: JSON.stringify(custom_attributes) };
    return this.#events.transaction(async (db, record) => {
      const row = await db
        .updateTable('devices')
        .set({ ...plain, ...attributes, updated_at: new Date(this.#context.now()) })
        .where('id', '=', id)
        .returningAll()
        .returning(groupIds)
        .executeTakeFirst();
      if (row === undefined) throw noSuchDevice();
      await record({
        type: 'device.updated',
        deviceId: id,
        endpointName: row.endpoint_name,
        description: 'The directory entry was changed',
        changes: withoutUndefined({ ...plain, custom_attributes }),
      });
      return row;
    });
  }

  async delete(id: string): Promise<NamedDevice> {
    const { accountId } = this.#context;
    return this.#events.transaction(async (db, record) => {
      const row = await db
        .deleteFrom('devices')
        .where('account_id', '=', accountId)
        .where('id', '=', id)
        .returning('endpoint_name')
        .executeTakeFirst();
      if (row === undefined) throw noSuchDevice();
      await record({
        type: 'device.deleted',
        deviceId: id,
        endpointName: row.endpoint_name,
        description: 'The device was removed from the directory; its certificate is no longer accepted',
      });
      return { id, ...row };
    });
  }

  /** Takes away or gives back the device's right to connect. */
  async suspend(
    id: string,
    suspended: boolean,
    reason: { category: string; description: string },
  ): Promise<NamedDevice> {
    const { accountId, now } = this.#context;
    const at = new Date(now());
    return this.#events.transaction(async (db, record) => {
      const row = await db
        .updateTable('devices')
        .set({
          operator_suspended: suspended,
          last_operator_suspended_category: reason.category,
          last_operator_suspended_description: reason.description,
          last_operator_suspended_updated_at: at,
          updated_at: at,
        })
        .where('account_id', '=', accountId)
        .where('id', '=', id)
        .returning('endpoint_name')
        .executeTakeFirst();
      if (row === undefined) throw noSuchDevice();
      await record({
        type: suspended ? 'device.suspended' : 'device.resumed',
        deviceId: id,
        endpointName: row.endpoint_name,
        description: reason.description,
        changes: { operator_suspended: suspended },
        data: { category: reason.category },
      });
      return { id, ...row };
    });
  }
}

function noSuchDevice(): HttpError {
  return new HttpError('not_found', 'No such device', [{ name: 'id', message: 'Not found' }]);
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** zod gives `undefined` for absent keys; the database layer wants them absent. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Defined<T>;
}

// SPDX-License-Identifier: Apache-2.0
import type { Context } from '../../context.ts';
import { isUniqueViolation } from '../../infra/database.ts';
import { HttpError } from '../../infra/http/errors.ts';
import type { DeviceGroupRow } from './table.ts';

export interface GroupFields {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly custom_attributes?: Readonly<Record<string, string>> | undefined;
}

/** The device groups of the account, as Pelion has them: a device may be in many. */
export class DeviceGroups {
  readonly #context: Context;
  readonly #moved: (deviceIds: readonly string[]) => void;

  /** `moved` hears of devices that are in other groups than before, or may be. */
  constructor(context: Context, moved: (deviceIds: readonly string[]) => void) {
    this.#context = context;
    this.#moved = moved;
  }

  /** Throws `not_found`. */
  async get(id: string): Promise<DeviceGroupRow> {
    const { db, accountId } = this.#context;
    const row = await db
      .selectFrom('counted_device_groups')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('id', '=', id)
      .executeTakeFirst();
    if (row === undefined) throw new HttpError('not_found', 'No such device group');
    return row;
  }

  /** Throws `conflict` when another group has the name. */
  async create({ name, ...fields }: GroupFields & { readonly name: string }): Promise<DeviceGroupRow> {
    const { db, accountId, newId, now } = this.#context;
    const at = new Date(now());
    const id = newId();
    const own = { id, account_id: accountId, name, created_at: at, updated_at: at };
    await this.#unlessTaken(name, async () => {
      await db
        .insertInto('device_groups')
        .values({ ...own, ...columns(fields) })
        .execute();
    });
    return await this.get(id);
  }

  /** Throws `not_found`, `conflict`. */
  async change(id: string, fields: GroupFields): Promise<DeviceGroupRow> {
    const { db, now } = this.#context;
    const { name } = await this.get(id);
    await this.#unlessTaken(fields.name ?? name, async () => {
      await db
        .updateTable('device_groups')
        .set({ ...columns(fields), updated_at: new Date(now()) })
        .where('id', '=', id)
        .execute();
    });
    return await this.get(id);
  }

  /** The ids of the devices that are in it now. */
  async members(id: string): Promise<string[]> {
    const rows = await this.#context.db
      .selectFrom('device_group_members')
      .select('device_id')
      .where('group_id', '=', id)
      .execute();
    return rows.map(({ device_id }) => device_id);
  }

  /** Its devices stay, and so do the orders to go to a release that it was given; what its apps were to be ends. Throws `not_found`. */
  async delete(id: string): Promise<void> {
    const { db, accountId } = this.#context;
    const members = await this.members(id);
    const { numDeletedRows } = await db
      .deleteFrom('device_groups')
      .where('account_id', '=', accountId)
      .where('id', '=', id)
      .executeTakeFirst();
    if (numDeletedRows === 0n) throw new HttpError('not_found', 'No such device group');
    this.#moved(members);
  }

  /** Puts a device in or takes it out; both may be done twice. Throws `not_found` for a group or a device that is not there. */
  async move(id: string, deviceId: string, direction: 'add' | 'remove'): Promise<void> {
    const { db, accountId, now } = this.#context;
    await this.get(id);
    const device = await db
      .selectFrom('devices')
      .select('id')
      .where('account_id', '=', accountId)
      .where('id', '=', deviceId)
      .executeTakeFirst();
    if (device === undefined)
      throw new HttpError('not_found', 'No such device', [{ name: 'device_id', message: 'Not found' }]);
    const member = { group_id: id, device_id: deviceId };
    try {
      if (direction === 'add')
        await db
          .insertInto('device_group_members')
          .values(member)
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      else
        await db
          .deleteFrom('device_group_members')
          .where('group_id', '=', id)
          .where('device_id', '=', deviceId)
          .execute();
    } finally {
      this.#moved([deviceId]);
    }
    await db
      .updateTable('device_groups')
      .set({ updated_at: new Date(now()) })
      .where('id', '=', id)
      .execute();
  }

  async #unlessTaken(name: string, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      const field = { name: 'name', message: 'In use' };
      throw new HttpError('conflict', `There is a device group ${name} already`, [field], error);
    }
  }
}

function columns({ name, description, custom_attributes: attributes }: GroupFields) {
  return {
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(attributes === undefined ? {} : { custom_attributes: JSON.stringify(attributes) }),
  };
}

// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import type { Context } from '../../context.ts';
import { HttpError } from '../../infra/http/errors.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import type { Db } from '../../schema.ts';
import type { EventRecorder, NewDeviceEvent, RecordEvents } from '../device-events/recorder.ts';
import type { NamedDevice } from '../devices/directory.ts';
import type { ReleaseWanted } from '../releases/wanted.ts';
import type { OrderState, OrderView } from './plan.ts';
import type { ReleaseOrderRow } from './table.ts';

/** What came of an order to a group. */
export interface GroupOrder {
  readonly id: string;
  /** Members that got a new order. */
  readonly ordered: number;
  /** Members that had the same order already. */
  readonly unchanged: number;
}

/** Rows in one statement: PostgreSQL takes 65,535 values. */
const mostRows = 2000;

const running = sql<SqlBool>`ended_at is null`;
/** How long orders that ended are kept: three times as long as events. */
const keepMs = 90 * 86_400_000;

/** How long an offline device's order says so. */
const away: OrderView = {
  state: 'waiting',
  reason: 'device-away',
  sentence: 'Waits for the device, which is not connected',
};

/** The Package URI: `#<release>` is of the repository beside the device's enrolment. */
export function packageUri({ release, repository }: Pick<ReleaseOrderRow, 'release' | 'repository'>): string {
  return `${repository ?? ''}#${release}`;
}

/** The orders as they are written down: one runs for a device, an event goes with each beginning and each end. */
export class ReleaseOrders {
  readonly #context: Context;
  readonly #events: EventRecorder;
  /** Orders are made one after the other: of two at once, one is the newer. */
  readonly #queue = new KeyedQueue();

  constructor(context: Context, events: EventRecorder) {
    this.#context = context;
    this.#events = events;
  }

  /** The devices that have an order to carry out, or to be told that one is over. */
  async deviceIds(): Promise<string[]> {
    const rows = await this.#context.db
      .selectFrom('release_orders')
      .select('device_id')
      .distinct()
      .where((where) => where.or([running, where('recall', '=', true)]))
      .execute();
    return rows.map(({ device_id }) => device_id);
  }

  /** The one that runs for a device, else the last one that did. */
  async latest(deviceId: string): Promise<ReleaseOrderRow | undefined> {
    return await this.#ofDevice(deviceId).executeTakeFirst();
  }

  /** The last one after which the device went back. */
  async lastFallback(deviceId: string): Promise<ReleaseOrderRow | undefined> {
    return await this.#ofDevice(deviceId).where('state', '=', 'fell-back').executeTakeFirst();
  }

  #ofDevice(deviceId: string) {
    return this.#context.db
      .selectFrom('release_orders')
      .selectAll()
      .where('device_id', '=', deviceId)
      .orderBy('id', 'desc');
  }

  /** What is to be done for a device: the order that runs, or one that it is to be told is over. */
  async work(deviceId: string): Promise<ReleaseOrderRow | undefined> {
    return await this.#ofDevice(deviceId)
      .where((where) => where.or([running, where('recall', '=', true)]))
      .executeTakeFirst();
  }

  /** Orders a device to go to a release, in the place of what it was ordered before. The same order twice is one. */
  async order(device: NamedDevice, wanted: ReleaseWanted): Promise<void> {
    await this.#queue.run('orders', () =>
      this.#events.transaction((db, _record, recordAll) => this.#write(db, recordAll, [device], wanted)),
    );
  }

  /** Orders each device that is in the group now to go to a release. */
  async orderGroup(
    groupId: string,
    wanted: ReleaseWanted,
  ): Promise<GroupOrder & { readonly deviceIds: string[] }> {
    const id = this.#context.newId();
    return await this.#queue.run('orders', () =>
      this.#events.transaction(async (db, _record, recordAll) => {
        const devices = await db
          .selectFrom('device_group_members')
          .innerJoin('devices', 'devices.id', 'device_group_members.device_id')
          .select(['devices.id', 'devices.endpoint_name'])
          .where('device_group_members.group_id', '=', groupId)
          .orderBy('devices.id')
          .execute();
        const ordered = await this.#write(db, recordAll, devices, wanted, { id, groupId });
        const unchanged = devices.length - ordered;
        return { id, ordered, unchanged, deviceIds: devices.map((device) => device.id) };
      }),
    );
  }

  /** Gives how many devices got a new order. */
  async #write(
    db: Db,
    recordAll: RecordEvents,
    devices: readonly NamedDevice[],
    { release, repository }: ReleaseWanted,
    group?: { readonly id: string; readonly groupId: string },
  ): Promise<number> {
    const { newId, now, accountId } = this.#context;
    const at = new Date(now());
    const ids = devices.map(({ id }) => id);
    const ofDevices = sql<SqlBool>`device_id = any(${ids}::text[])`;
    const before = await db
      .selectFrom('release_orders')
      .selectAll()
      .where(ofDevices)
      .where(running)
      .execute();
    const same = before.filter((one) => one.release === release && one.repository === (repository ?? null));
    const unchanged = new Set(same.map(({ device_id }) => device_id));
    const fresh = devices.filter(({ id }) => !unchanged.has(id));
    const names = new Map(devices.map((device) => [device.id, device]));
    const replaced = await this.#finish(
      db,
      before.filter(({ device_id }) => !unchanged.has(device_id)),
      { state: 'replaced', reason: 'replaced', sentence: `${release} was ordered in its place` },
    );
    // A device that is told something new need not be told what is over.
    await db
      .updateTable('release_orders')
      .set({ recall: false })
      .where(ofDevices)
      .where('recall', '=', true)
      .execute();
    const rows = fresh.map(({ id }) => ({
      id: newId(),
      account_id: accountId,
      device_id: id,
      group_id: group?.groupId ?? null,
      group_order_id: group?.id ?? null,
      release,
      repository: repository ?? null,
      ...columns({ ...away, reason: 'ordered', sentence: 'Waits until the device can be told' }),
      created_at: at,
      changed_at: at,
    }));
    for (let from = 0; from < rows.length; from += mostRows)
      await db
        .insertInto('release_orders')
        .values(rows.slice(from, from + mostRows))
        .execute();
    await recordAll([
      ...replaced.map((row) => endEvent(row, names.get(row.device_id))),
      ...rows.map((row) =>
        event('device.update-ordered', row, `Ordered to go to ${release}`, names.get(row.device_id)),
      ),
    ]);
    return fresh.length;
  }

  /**
   * Calls off the order that runs for a device. Gives it as it ended, or undefined where none runs. Throws `conflict` when the device is
   * starting the release: from then on only the device can say how it ends.
   */
  async cancel(device: NamedDevice): Promise<ReleaseOrderRow | undefined> {
    return await this.#events.transaction(async (db, record) => {
      const row = await db
        .selectFrom('release_orders')
        .selectAll()
        .where('device_id', '=', device.id)
        .where(running)
        .forUpdate()
        .executeTakeFirst();
      if (row === undefined) return undefined;
      if (row.started_at !== null)
        throw new HttpError(
          'conflict',
          `The device is starting ${row.release}; it says itself how that ends, and then another release can be ordered`,
        );
      const view = { state: 'cancelled', reason: 'cancelled', sentence: 'The order was called off' } as const;
      const [ended] = await this.#finish(db, [row], view, true);
      if (ended !== undefined) await record(endEvent(ended, device));
      return ended;
    });
  }

  /** The device has been told that its cancelled order is over, or needs not be. */
  async recalled({ id }: ReleaseOrderRow): Promise<void> {
    await this.#context.db
      .updateTable('release_orders')
      .set({ recall: false })
      .where('id', '=', id)
      .execute();
  }

  /**
   * Writes down how an order stands. `asked` and `started` as in a plan: the first time that the device was seen to be at it is an event.
   * False when the order does not run any more.
   */
  async stand(
    row: ReleaseOrderRow,
    view: OrderView,
    {
      asked = row.asked_at !== null,
      started = row.started_at !== null,
    }: { asked?: boolean; started?: boolean } = {},
  ): Promise<boolean> {
    if (isSame(row, view) && asked === (row.asked_at !== null) && started === (row.started_at !== null))
      return true;
    const at = new Date(this.#context.now());
    const next = {
      ...columns(view),
      asked_at: asked ? (row.asked_at ?? at) : null,
      started_at: started ? (row.started_at ?? at) : null,
    };
    return await this.#events.transaction(async (db, record) => {
      const { numUpdatedRows } = await db
        .updateTable('release_orders')
        .set({ ...next, ...(sameView(row, view) ? {} : { changed_at: at }) })
        .where('id', '=', row.id)
        .where(running)
        .executeTakeFirst();
      if (numUpdatedRows === 0n) return false;
      if (asked && row.asked_at === null)
        await record(event('device.update-started', row, `Brings ${row.release}`, await nameOf(db, row)));
      return true;
    });
  }

  /** Ends an order as its device ended it. Nothing happens where it had ended before. */
  async end(row: ReleaseOrderRow, view: OrderView): Promise<void> {
    await this.#events.transaction(async (db, record) => {
      const [ended] = await this.#finish(db, [row], view);
      if (ended === undefined) return;
      if (view.state === 'done')
        await db
          .updateTable('devices')
          .set({ release: row.release })
          .where('id', '=', row.device_id)
          .execute();
      await record(endEvent(ended, await nameOf(db, row)));
    });
  }

  async #finish(
    db: Db,
    rows: readonly ReleaseOrderRow[],
    view: OrderView,
    recall = false,
  ): Promise<ReleaseOrderRow[]> {
    const at = new Date(this.#context.now());
    const { state, reason, sentence } = columns(view);
    return await db
      .updateTable('release_orders')
      .set({ state, reason, sentence, changed_at: at, ended_at: at, recall })
      .where(sql<SqlBool>`id = any(${rows.map(({ id }) => id)}::text[])`)
      .where(running)
      .returningAll()
      .execute();
  }

  /** Removes orders that ended longer ago than is promised; the last one of each device stays, and those of which a device is to be told. */
  async prune(): Promise<void> {
    const { db, accountId, now } = this.#context;
    // Ids begin with the time.
    await sql`
      delete from release_orders as old
      where account_id = ${accountId} and ended_at < ${new Date(now() - keepMs)} and not recall
        and exists (select from release_orders as later where later.device_id = old.device_id and later.id > old.id)`.execute(
      db,
    );
  }

  /** The device is not connected. What it had begun it may have forgotten when it comes back; a trial it has not. */
  async away(deviceId?: string): Promise<void> {
    await this.#context.db
      .updateTable('release_orders')
      .set({ ...columns(away), changed_at: new Date(this.#context.now()) })
      .where(running)
      .where('started_at', 'is', null)
      .where(sql<SqlBool>`reason <> ${away.reason}`)
      .where(deviceId === undefined ? sql<SqlBool>`true` : sql<SqlBool>`device_id = ${deviceId}`)
      .execute();
  }
}

function columns({ state, reason, sentence, fetched, toFetch }: OrderView) {
  return { state, reason, sentence, bytes_fetched: fetched ?? null, bytes_to_fetch: toFetch ?? null };
}

/** Bytes that come are no change of how it stands. */
function sameView(row: ReleaseOrderRow, { state, reason }: OrderView): boolean {
  return row.state === state && row.reason === reason;
}

function isSame(row: ReleaseOrderRow, view: OrderView): boolean {
  const { sentence, bytes_fetched: fetched, bytes_to_fetch: toFetch } = columns(view);
  const bytes = (text: string | null) => (text === null ? null : Number(text));
  return (
    sameView(row, view) &&
    row.sentence === sentence &&
    bytes(row.bytes_fetched) === fetched &&
    bytes(row.bytes_to_fetch) === toFetch
  );
}

async function nameOf(db: Db, { device_id }: ReleaseOrderRow): Promise<NamedDevice | undefined> {
  return await db
    .selectFrom('devices')
    .select(['id', 'endpoint_name'])
    .where('id', '=', device_id)
    .executeTakeFirst();
}

const endTypes: Readonly<Partial<Record<OrderState, NewDeviceEvent['type']>>> = {
  done: 'device.update-done',
  cancelled: 'device.update-cancelled',
  replaced: 'device.update-cancelled',
};

function endEvent(row: ReleaseOrderRow, device: NamedDevice | undefined): NewDeviceEvent {
  return event(endTypes[row.state] ?? 'device.update-failed', row, row.sentence, device);
}

function event(
  type: NewDeviceEvent['type'],
  row: Pick<ReleaseOrderRow, 'id' | 'device_id' | 'release' | 'state' | 'reason'>,
  description: string,
  device: NamedDevice | undefined,
): NewDeviceEvent {
  const { id: order, device_id: deviceId, release, state, reason } = row;
  return {
    type,
    deviceId,
    endpointName: device?.endpoint_name ?? null,
    description,
    data: { order, release, state, reason },
  };
}

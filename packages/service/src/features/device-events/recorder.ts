// SPDX-License-Identifier: Apache-2.0
import { type RawBuilder, sql } from 'kysely';
import type { Context } from '../../context.ts';
import type { Db } from '../../schema.ts';
import type { Publish } from '../notifications/message.ts';
import { type DeviceEvent, type DeviceEventType, eventTypes, toDeviceEvent } from './model.ts';
import type { DeviceEventRow } from './table.ts';

export interface NewDeviceEvent {
  type: DeviceEventType;
  deviceId: string | null;
  endpointName: string | null;
  description: string;
  /** Fields of the device that changed, with their new values. */
  changes?: Record<string, unknown>;
  data?: Record<string, string>;
  /** Given where the answer to a commit may be lost, and the event written again: it is kept once, and told. */
  once?: { readonly id: string; readonly time: number };
}

/** What is the same in the events of many devices. */
export type EventOfMany = Omit<NewDeviceEvent, 'deviceId' | 'endpointName' | 'once'>;

/** Has an event written down when its transaction ends. */
export type RecordEvent = (event: NewDeviceEvent) => Promise<void>;

/** The same for many, which costs one statement. */
export type RecordEvents = (events: readonly NewDeviceEvent[]) => Promise<void>;

const columns = sql.raw(
  `id, account_id, device_id, endpoint_name, date_time, event_type, event_type_category, event_type_description, description,
   state_change, changes, data`,
);

/** How long events are kept, as Pelion does. */
const keepMs = 30 * 86_400_000;

/** Writes device events down and tells the channels. */
export class EventRecorder {
  readonly #context: Context;
  readonly #publish: Publish;

  constructor(context: Context, publish: Publish) {
    this.#context = context;
    this.#publish = publish;
  }

  async record(event: NewDeviceEvent): Promise<void> {
    this.#announce(await this.#write([event], this.#context.db));
  }

  /**
   * Makes a change and writes down the events given to `record` in one transaction: both are kept or neither. The channels hear
   * of it when that is done.
   */
  async transaction<T>(
    change: (db: Db, record: RecordEvent, recordAll: RecordEvents) => Promise<T>,
  ): Promise<T> {
    const { written, result } = await this.#context.db.transaction().execute(async (db) => {
      const events: NewDeviceEvent[] = [];
      const recordAll: RecordEvents = async (more) => void events.push(...more);
      const result = await change(db, (event) => recordAll([event]), recordAll);
      // Last, because from here to the commit all other writers of events wait.
      return { written: await this.#write(events, db), result };
    });
    this.#announce(written);
    return result;
  }

  /**
   * As `transaction`, where the change is one statement, which gives the ids of the devices that it changed: it and the events of these are one
   * statement then, a quarter of the ways to the database and back. Gives the ids.
   */
  async recordWith(
    change: RawBuilder<{ id: string }>,
    events: readonly NewDeviceEvent[],
  ): Promise<ReadonlySet<string>> {
    const rows = events.map((event) => this.#row(event));
    // What changes comes first, and its rows are locked before the events' turn is waited for: whoever else writes both does so in this order.
    const { rows: changed } = await sql<{ id: string }>`
      with changed as (${change}), written as (
        insert into device_events (${columns})
        select ${columns}
        from jsonb_populate_recordset(null::device_events, ${JSON.stringify(rows)}::jsonb)
        where device_id in (select id from changed)
        on conflict (id) do nothing
      )
      select id from changed`.execute(this.#context.db);
    const ids = new Set(changed.map(({ id }) => id));
    this.#announce(rows.filter((row) => ids.has(row.device_id ?? '')).map(toDeviceEvent));
    return ids;
  }

  #announce(events: readonly DeviceEvent[]): void {
    for (const event of events) this.#publish({ 'device-events': [event] });
  }

  async #write(events: readonly NewDeviceEvent[], db: Db): Promise<DeviceEvent[]> {
    if (events.length === 0) return [];
    const rows = events.map((event) => this.#row(event));
    await sql`
      insert into device_events (${columns})
      select ${columns}
      from jsonb_populate_recordset(null::device_events, ${JSON.stringify(rows)}::jsonb)
      on conflict (id) do nothing`.execute(db);
    return rows.map(toDeviceEvent);
  }

  /**
   * Writes one event for each of many devices down, in their order, in one statement that is built by the database. The channels do not
   * hear of it: for the start, before there are any.
   */
  async recordOfMany(
    db: Db,
    event: EventOfMany,
    devices: readonly { readonly id: string; readonly endpoint_name: string | null }[],
  ): Promise<void> {
    if (devices.length === 0) return;
    const same = JSON.stringify(this.#row({ ...event, deviceId: null, endpointName: null }));
    await sql`
      insert into device_events (${columns})
      select ${columns}
      from (
        select account_id, date_time, event_type, event_type_category, event_type_description, description, state_change, changes, data
        from jsonb_populate_record(null::device_events, ${same}::jsonb)
      ) as same,
      unnest(
        ${devices.map(() => this.#context.newId())}::text[],
        ${devices.map(({ id }) => id)}::text[],
        ${devices.map((one) => one.endpoint_name)}::text[]
      ) as one (id, device_id, endpoint_name)`.execute(db);
  }

  #row(event: NewDeviceEvent): DeviceEventRow {
    return {
      id: event.once?.id ?? this.#context.newId(),
      account_id: this.#context.accountId,
      device_id: event.deviceId,
      endpoint_name: event.endpointName,
      date_time: new Date(event.once?.time ?? this.#context.now()),
      event_type: event.type,
      event_type_category: event.type
        .replace(/^device\./, '')
        .toUpperCase()
        .replaceAll('-', '_'),
      event_type_description: eventTypes[event.type],
      description: event.description,
      state_change: Object.hasOwn(event.changes ?? {}, 'state'),
      changes: event.changes ?? {},
      data: event.data ?? {},
    };
  }

  /** Removes events that are older than is promised. */
  async prune(): Promise<void> {
    const { db, accountId, now } = this.#context;
    // Ids begin with the time, and there is an index on them. What goes is the beginning of the list, so that a reader whose last event
    // went finds its place: before all that is left.
    const oldest = (now() - keepMs).toString(16).padStart(12, '0');
    await sql`
      delete from device_events where account_id = ${accountId} and position < coalesce(
        (select min(position) from device_events where account_id = ${accountId} and id >= ${oldest}),
        (select max(position) + 1 from device_events where account_id = ${accountId}))`.execute(db);
  }
}

// SPDX-License-Identifier: Apache-2.0
import type { Context } from '../../context.ts';
import type { Db } from '../../schema.ts';
import type { Publish } from '../notifications/message.ts';
import { type DeviceEvent, type DeviceEventType, eventTypes, toDeviceEvent } from './model.ts';

export interface NewDeviceEvent {
  type: DeviceEventType;
  deviceId: string | null;
  endpointName: string | null;
  description: string;
  /** Fields of the device that changed, with their new values. */
  changes?: Record<string, unknown>;
  data?: Record<string, string>;
}

/** Writes an event down within a transaction. */
export type RecordEvent = (event: NewDeviceEvent) => Promise<void>;

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
    this.#announce(await this.#write(event, this.#context.db));
  }

  /**
   * Makes a change and writes down the events given to `record` in one transaction: both are kept or neither. The channels hear
   * of it when that is done.
   */
  async transaction<T>(change: (db: Db, record: RecordEvent) => Promise<T>): Promise<T> {
    const events: DeviceEvent[] = [];
    const result = await this.#context.db.transaction().execute((db) =>
      change(db, async (event) => {
        events.push(await this.#write(event, db));
      }),
    );
    for (const event of events) this.#announce(event);
    return result;
  }

  #announce(event: DeviceEvent): void {
    this.#publish({ 'device-events': [event] });
  }

  async #write(event: NewDeviceEvent, db: Db): Promise<DeviceEvent> {
    const row = {
      id: this.#context.newId(),
      account_id: this.#context.accountId,
      device_id: event.deviceId,
      endpoint_name: event.endpointName,
      date_time: new Date(this.#context.now()),
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
    await db
      .insertInto('device_events')
      .values({ ...row, changes: JSON.stringify(row.changes), data: JSON.stringify(row.data) })
      .execute();
    return toDeviceEvent(row);
  }

  /** Removes events that are older than is promised. */
  async prune(): Promise<void> {
    const { db, accountId, now } = this.#context;
    // Ids begin with the time, and there is an index on them.
    const oldest = (now() - keepMs).toString(16).padStart(12, '0');
    await db
      .deleteFrom('device_events')
      .where('account_id', '=', accountId)
      .where('id', '<', oldest)
      .execute();
  }
}

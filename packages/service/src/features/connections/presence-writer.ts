// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import type { Context } from '../../context.ts';
import { isPassing } from '../../infra/database.ts';
import { Pace } from '../../infra/pace.ts';
import type { Db } from '../../schema.ts';
import type { EventRecorder, NewDeviceEvent } from '../device-events/recorder.ts';
import type { DeviceState, RegisteredResource } from '../devices/table.ts';

/** The columns of a device that presence owns. What is absent stays. */
export interface PresenceColumns {
  readonly online?: boolean;
  readonly last_seen?: Date;
  readonly remote_address?: string;
  readonly state?: DeviceState;
  readonly registered_at?: Date;
  readonly registration_expires_at?: Date | null;
  readonly lifetime?: number;
  readonly binding?: string;
  readonly lwm2m_version?: string;
  readonly resources?: readonly RegisteredResource[];
  readonly image_keys?: 'development' | 'production' | null;
  readonly endpoint_type?: string;
}

/** A step in what the directory knows of a device, and the event that goes out with it. */
export interface Transition {
  readonly deviceId: string;
  readonly columns: PresenceColumns;
  /** Nothing happens unless the device is registered, and its registration was to end before `overdueAt` where that is given. */
  readonly ifRegistered?: { readonly overdueAt?: Date | undefined };
  readonly event?: NewDeviceEvent;
}

interface Pending {
  readonly transition: Transition;
  readonly settle: PromiseWithResolvers<boolean>;
}

/** What is written of one device in one statement: transitions that follow one another without a condition, as if they were one. */
type Run = readonly [Pending, ...Pending[]];

const mostInBatch = 500;
const leastMs = 15;
const firstPauseMs = 100;
const longestPauseMs = 5000;

/**
 * Writes transitions down in the order in which they come, many in one transaction, and again until
 * they are written: a database that is away loses none. A device and its event are written together or not at all.
 */
export class PresenceWriter {
  readonly #context: Context;
  readonly #events: EventRecorder;
  /** What waits, oldest first, by device: taking a batch costs what is in it, however many wait. */
  readonly #waiting = new Map<string, Pending[]>();
  readonly #pace = new Pace(leastMs);
  #draining = false;
  /** Aborted when nobody waits for a database that is away any longer. */
  readonly #over = new AbortController();
  /** That it fails was written to the log. */
  #said = false;

  constructor(context: Context, events: EventRecorder) {
    this.#context = context;
    this.#events = events;
  }

  /** Resolves when it is written: whether anything happened. Rejects when the database refuses it, or after `giveUp`. */
  write({ event, ...rest }: Transition): Promise<boolean> {
    const { newId, now } = this.#context;
    const transition =
      event === undefined ? rest : { ...rest, event: { ...event, once: { id: newId(), time: now() } } };
    const settle = Promise.withResolvers<boolean>();
    const ofDevice = this.#waiting.get(transition.deviceId);
    if (ofDevice === undefined) this.#waiting.set(transition.deviceId, [{ transition, settle }]);
    else ofDevice.push({ transition, settle });
    if (!this.#draining) {
      this.#draining = true;
      void this.#drain();
    }
    return settle.promise;
  }

  /** From now on a failed write is tried again for that long only. */
  giveUp(afterMs: number): void {
    setTimeout(() => this.#over.abort(), afterMs).unref();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.size > 0) {
      await this.#pace.turn(() => this.#waiting.size);
      await this.#writeUntilDone(this.#takeBatch());
    }
    this.#draining = false;
  }

  /** The devices that waited longest, of each what can be written at once: what has a condition must see what was before it. */
  #takeBatch(): Run[] {
    const batch: Run[] = [];
    const rest: [string, Pending[]][] = [];
    for (const [deviceId, [first, ...others]] of this.#waiting) {
      if (batch.length === mostInBatch || first === undefined) break;
      const end = first.transition.ifRegistered === undefined ? others.findIndex(isConditional) : 0;
      const later = end < 0 ? [] : others.slice(end);
      batch.push([first, ...others.slice(0, others.length - later.length)]);
      this.#waiting.delete(deviceId);
      if (later.length > 0) rest.push([deviceId, later]);
    }
    // Behind those that have not had a turn.
    for (const [deviceId, later] of rest) this.#waiting.set(deviceId, later);
    return batch;
  }

  async #writeUntilDone(batch: readonly Run[], triedBefore = false): Promise<void> {
    let tried = triedBefore;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        const happened = await this.#write(batch.map(asOne), tried);
        if (this.#said) this.#context.log.info('Presence is written again');
        this.#said = false;
        for (const { transition, settle } of batch.flat()) settle.resolve(happened.has(transition.deviceId));
        return;
      } catch (error) {
        const again = tried;
        tried = true;
        const [[only] = []] = batch;
        if (!isPassing(error) && batch.flat().length > 1) {
          // One of them is refused, and must not take the others along.
          const parts = batch.length > 1 ? batch : batch.flat().map((one) => [one] as const);
          for (const one of parts) await this.#writeUntilDone([one], tried);
          return;
        }
        if (!isPassing(error) || this.#over.signal.aborted) {
          for (const { settle } of batch.flat()) settle.reject(error);
          return;
        }
        // Where it went away as a whole that is said already, or is noticed by the next try; one that fails once and no more is no news.
        if (again && !this.#said && this.#context.awaySince?.() === undefined) {
          this.#said = true;
          const waiting = batch.length + this.#waiting.size;
          this.#context.log.warn('Presence cannot be written; it is kept, and tried again', {
            error,
            waiting,
            device: only?.transition.deviceId,
          });
        }
        await delay(pauseMs, undefined, { signal: this.#over.signal }).catch(() => {});
      }
    }
  }

  /** `tried`: it may have been committed before, and the answer lost on its way; what has an event shows whether. */
  async #write(transitions: readonly MergedTransition[], tried: boolean): Promise<ReadonlySet<string>> {
    if (!tried) {
      const events = transitions.flatMap((one) => one.events);
      return await this.#events.recordWith(changeOf(transitions), events);
    }
    return await this.#events.transaction(async (db, _, recordAll) => {
      const committed = await committedBefore(db, transitions);
      const left = transitions.filter(({ deviceId }) => !committed.has(deviceId));
      const { rows } = await changeOf(left).execute(db);
      const happened = committed.union(new Set(rows.map(({ id }) => id)));
      await recordAll(transitions.flatMap(({ deviceId, events }) => (happened.has(deviceId) ? events : [])));
      return happened;
    });
  }
}

interface MergedTransition extends Omit<Transition, 'event'> {
  readonly events: readonly NewDeviceEvent[];
}

/** What a run comes to: of each column the last word, and every event. */
function asOne(run: Run): MergedTransition {
  const [{ transition }] = run;
  return {
    ...transition,
    columns: Object.assign({}, ...run.map((one) => one.transition.columns)) as PresenceColumns,
    events: run.flatMap(({ transition: { event } }) => event ?? []),
  };
}

function isConditional({ transition }: Pending): boolean {
  return transition.ifRegistered !== undefined;
}

/** The ids of the devices whose events are there. */
async function committedBefore(db: Db, transitions: readonly MergedTransition[]): Promise<Set<string>> {
  const ids = new Map(
    transitions.flatMap(({ deviceId, events }) =>
      events.flatMap(({ once }) => (once ? [[once.id, deviceId]] : [])),
    ),
  );
  const { rows } = await sql<{ id: string }>`
    select id from device_events where id = any(${[...ids.keys()]}::text[])`.execute(db);
  return new Set(rows.flatMap(({ id }) => ids.get(id) ?? []));
}

/** The statement that changes the devices, and gives the ids of those that changed. */
function changeOf(transitions: readonly MergedTransition[]): RawBuilder<{ id: string }> {
  const changes = transitions.map(({ deviceId, columns, ifRegistered }) => ({
    id: deviceId,
    columns,
    conditional: ifRegistered !== undefined,
    overdue_at: ifRegistered?.overdueAt ?? null,
  }));
  return sql<{ id: string }>`
    update devices set (
      online, last_seen, remote_address, state, registered_at, registration_expires_at, lifetime, binding, lwm2m_version, resources,
      image_keys, endpoint_type
    ) = (
      select online, last_seen, remote_address, state, registered_at, registration_expires_at, lifetime, binding, lwm2m_version, resources,
        image_keys, endpoint_type
      -- What the change does not name stays as it is.
      from jsonb_populate_record(devices, change.columns)
    )
    from jsonb_to_recordset(${JSON.stringify(changes)}::jsonb)
      as change (id text, columns jsonb, conditional boolean, overdue_at timestamptz)
    where devices.id = change.id
      -- Said again, with the number of them: the planner takes 100 for what a document holds, and would read a small table from end to end.
      and devices.id = any(${changes.map(({ id }) => id)}::text[])
      and (not conditional or (state = 'registered' and (overdue_at is null or registration_expires_at < overdue_at)))
    returning devices.id`;
}

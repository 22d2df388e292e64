// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { mblBoardModel } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import type { DeviceSession } from '../connections/session.ts';
import type { EventRecorder } from '../device-events/recorder.ts';
import { notConnected, RequestFailure, toFailure } from '../requests/failure.ts';
import { describeIncident, type Incident, parseIncidents } from './incident.ts';

const { id: boardObject, rows } = mblBoardModel;
const incidentsPath = [boardObject, 0, rows.incidents[0]];
const forgetPath = [boardObject, 0, rows.forgetIncidents[0]];

const dayMs = 86_400_000;
/** Events that a device can cause in a day by new incidents; what is more stays on the device until then. */
const mostInADay = 64;
const defaultPausesMs = [15_000, 60_000, 300_000];
/** How long an incident that is still told is known as one that was told before, in days. */
const keepDays = 90;

export interface IncidentParts {
  readonly events: EventRecorder;
  /** How long a device may take for each of the two requests, in milliseconds. */
  readonly timeoutMs?: number;
  /** The pauses, in milliseconds, before a device that did not answer is asked again; then it must register first. */
  readonly pausesMs?: readonly number[];
}

/**
 * Asks a device that has registered what it had to do to come back, writes an event for each incident that is new, and then has the device
 * forget them: an answer that gets lost on the way is asked for again, and an event is written once.
 */
export class Incidents implements Disposable {
  readonly #context: Context;
  readonly #parts: IncidentParts;
  /** Devices that are being asked, each with its latest session. */
  readonly #asked = new Map<string, DeviceSession>();
  readonly #stopped = new AbortController();

  constructor(context: Context, parts: IncidentParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Never throws: what a device does wrong here costs it nothing but its incidents, and goes to the log. */
  async collect(device: DeviceSession): Promise<void> {
    const { deviceId } = device.identity;
    if (!device.paths.some(([object, instance]) => object === boardObject && instance === 0)) return;
    // One at a time, or a device that registers in a loop would pile up requests.
    const isAsked = this.#asked.has(deviceId);
    this.#asked.set(deviceId, device);
    if (isAsked) return;
    try {
      for (let asked: DeviceSession | undefined; ; ) {
        const latest = this.#asked.get(deviceId);
        if (latest === undefined || latest === asked || this.#stopped.signal.aborted) return;
        asked = latest;
        await this.#try(asked, AbortSignal.any([asked.ended, this.#stopped.signal]));
      }
    } finally {
      this.#asked.delete(deviceId);
    }
  }

  /** Until it went well, the device registered again, or it was tried often enough. A slow board may still be starting. */
  async #try(device: DeviceSession, signal: AbortSignal): Promise<void> {
    for (const pause of [0, ...(this.#parts.pausesMs ?? defaultPausesMs)]) {
      await delay(pause, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        return await this.#collect(device);
      } catch (error) {
        const failure = toFailure(error);
        // It is asked when it registers again.
        if (failure instanceof RequestFailure && failure.error === notConnected().error) return;
        const { deviceId } = device.identity;
        const { message: reason } = error as Error;
        this.#context.log.warn('The incidents of a device could not be collected', { deviceId, reason });
      }
    }
  }

  /** Beside the queue of the device's requests: nobody waits for a device that is slow to tell. */
  async #collect(device: DeviceSession): Promise<void> {
    const { deviceId } = device.identity;
    const { timeoutMs = 30_000 } = this.#parts;
    const limit = () => AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#stopped.signal]);
    const nodes = await device.read(incidentsPath, { signal: limit() });
    const told = await this.#write(deviceId, parseIncidents(nodes));
    if (told.length === 0) return;
    // LwM2M Core 1.1 §6.3.5: arguments of an Execute.
    await device.execute(forgetPath, `0='${told.join(',')}'`, { signal: limit() });
    await this.#context.db
      .updateTable('incidents')
      .set({ forgotten_at: new Date(this.#context.now()) })
      .where('device_id', '=', deviceId)
      .where('incident_id', 'in', told)
      .where('forgotten_at', 'is', null)
      .execute();
  }

  [Symbol.dispose](): void {
    this.#stopped.abort(notConnected());
  }

  /**
   * Writes down what is new, and what comes again more than a day after it was forgotten: a damage that is still there, or there
   * again, has the same id. Gives the ids of all that are written down, now or earlier: the device may forget these.
   */
  async #write(deviceId: string, incidents: readonly Incident[]): Promise<string[]> {
    if (incidents.length === 0) return [];
    const at = this.#context.now();
    return this.#parts.events.transaction(async (db, _record, recordAll) => {
      const device = await db
        .selectFrom('devices')
        .select('endpoint_name')
        .where('id', '=', deviceId)
        .forUpdate()
        .executeTakeFirst();
      // Removed from the directory while it was asked.
      if (device === undefined) return [];
      await db
        .deleteFrom('incidents')
        .where('device_id', '=', deviceId)
        .where('created_at', '<', new Date(at - keepDays * dayMs))
        .execute();
      const { today } = await db
        .selectFrom('incidents')
        .select(({ fn }) => fn.countAll<string>().as('today'))
        .where('device_id', '=', deviceId)
        .where('created_at', '>', new Date(at - dayMs))
        .executeTakeFirstOrThrow();
      const rows = await db
        .selectFrom('incidents')
        .select(['incident_id', 'forgotten_at'])
        .where('device_id', '=', deviceId)
        .where(
          'incident_id',
          'in',
          incidents.map(({ id }) => id),
        )
        .execute();
      const known = rows
        .filter(({ forgotten_at }) => forgotten_at === null || forgotten_at.getTime() > at - dayMs)
        .map(({ incident_id }) => incident_id);
      const fresh = incidents
        .filter(({ id }) => !known.includes(id))
        .slice(0, Math.max(0, mostInADay - Number(today)));
      const told = { device_id: deviceId, created_at: new Date(at), forgotten_at: null };
      if (fresh.length > 0) {
        await db
          .insertInto('incidents')
          .values(fresh.map(({ id }) => ({ ...told, incident_id: id })))
          .onConflict((conflict) =>
            conflict
              .columns(['device_id', 'incident_id'])
              .doUpdateSet({ created_at: told.created_at, forgotten_at: null }),
          )
          .execute();
      }
      await recordAll(
        fresh.map((incident) => ({
          type: 'device.board-recovered',
          deviceId,
          endpointName: device.endpoint_name,
          description: describeIncident(incident),
          data: { incident: incident.id, kind: incident.kind, detail: incident.detail },
        })),
      );
      return [...known, ...fresh.map(({ id }) => id)];
    });
  }
}

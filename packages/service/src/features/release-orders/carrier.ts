// SPDX-License-Identifier: Apache-2.0
import type { Context } from '../../context.ts';
import { isPassing } from '../../infra/database.ts';
import { persistently } from '../../infra/persistently.ts';
import type { DeviceSession, Reach } from '../connections/session.ts';
import { RequestFailure, toFailure } from '../requests/failure.ts';
import { Looks, type LookTiming } from '../requests/looks.ts';
import { type ReleaseOrders, packageUri } from './orders.ts';
import { type OrderView, planOrder } from './plan.ts';
import type { RunningReleases } from './running-releases.ts';
import { isUpdatable, packageUriPath, readStatus, updatePath } from './status.ts';
import type { ReleaseOrderRow } from './table.ts';

export interface CarrierParts {
  readonly orders: ReleaseOrders;
  readonly running: RunningReleases;
  readonly reach: Reach;
  readonly timing: LookTiming;
}

/**
 * Carries orders out: for each device that has one and is connected, looks at what it does, writes that down and does what comes next.
 * What was done is never remembered here: after a restart it goes on from what the device says.
 */
export class OrderCarrier implements AsyncDisposable {
  readonly #context: Context;
  readonly #parts: CarrierParts;
  /** Devices that may have an order; whoever is not in it has none, and nobody asks the database. */
  readonly #concerned = new Set<string>();
  readonly #looks: Looks;

  constructor(context: Context, parts: CarrierParts) {
    this.#context = context;
    this.#parts = parts;
    this.#looks = new Looks({
      timing: parts.timing,
      log: context.log,
      step: (deviceId) => this.#step(deviceId),
      failed: 'An order could not be carried out',
    });
  }

  /** Before devices are let in. */
  async start(): Promise<void> {
    for (const id of await this.#parts.orders.deviceIds()) this.#concerned.add(id);
    await this.#parts.orders.away();
  }

  /** The orders of a device are others than before, or may be. */
  ordered(deviceId: string): void {
    this.#concerned.add(deviceId);
    this.look(deviceId);
  }

  /** Nobody knows what was written down: the answer to a commit was lost. */
  async reload(): Promise<void> {
    for (const id of await this.#parts.orders.deviceIds()) this.ordered(id);
  }

  /** Something changed for the device: it registered, or its orders are others. */
  look(deviceId: string): void {
    if (this.#concerned.has(deviceId)) this.#looks.look(deviceId);
  }

  /** One look. Gives what was seen, to be told from the next time; undefined when there is nothing to be done for now. */
  async #step(deviceId: string): Promise<string | undefined> {
    const { orders, reach } = this.#parts;
    const going = () => !this.#looks.stopped;
    const device = reach(deviceId);
    if (device === undefined) {
      await persistently(
        () => orders.away(deviceId),
        () => going() && reach(deviceId) === undefined,
      );
      return reach(deviceId) === undefined ? undefined : 'back';
    }
    const row = await persistently(() => orders.work(deviceId), going);
    if (row === undefined) {
      if (!this.#looks.changed(deviceId)) this.#concerned.delete(deviceId);
      return undefined;
    }
    try {
      return row.ended_at === null ? await this.#advance(device, row) : await this.#recall(device, row);
    } catch (error) {
      if (!going()) return undefined;
      const failure = toFailure(error);
      if (!(failure instanceof RequestFailure) && !isPassing(error)) throw error;
      return failure instanceof RequestFailure
        ? `${failure.error} ${failure.message}`
        : 'the database is away';
    }
  }

  /** Has the device do what comes next for an order. */
  async #advance(device: DeviceSession, row: ReleaseOrderRow): Promise<string> {
    const { orders, running } = this.#parts;
    if (!isUpdatable(device)) {
      const sentence = 'The device has no Firmware Update object (5), by which releases come to it';
      await orders.end(row, { state: 'failed', reason: 'not-updatable', sentence });
      return 'ended';
    }
    const uri = packageUri(row);
    const facts = {
      release: row.release,
      uri,
      asked: row.asked_at !== null,
      started: row.started_at !== null,
    };
    const plan = planOrder(facts, await readStatus(device, this.#looks.limit()), running.of(device));
    if (plan.end) {
      await orders.end(row, plan.view);
      return 'ended';
    }
    const { view, act, asked, started } = plan;
    const marks = { ...(asked && { asked }), ...(started !== undefined && { started }) };
    const due =
      row.reason === view.reason &&
      this.#context.now() - row.changed_at.getTime() >= this.#parts.timing.againMs;
    if (act === 'ask' || (act === 'ask-later' && due)) await this.#ask(device, row, view, uri);
    else if (act === 'start' || (act === 'start-later' && due)) await this.#start(device, row, view);
    else await orders.stand(row, view, marks);
    return JSON.stringify([view, act]);
  }

  async #start(device: DeviceSession, row: ReleaseOrderRow, view: OrderView): Promise<void> {
    // First: a device that restarts before it has answered is known to have been told.
    if (!(await this.#parts.orders.stand(row, view, { asked: true, started: true }))) return;
    const { deviceId } = device.identity;
    const { release, id: order } = row;
    this.#context.log.info('Has a device start a release', { deviceId, release, order });
    await device.execute(updatePath, '', { signal: this.#looks.limit() });
  }

  async #ask(device: DeviceSession, row: ReleaseOrderRow, view: OrderView, uri: string): Promise<void> {
    const { orders } = this.#parts;
    if (!(await orders.stand(row, view, { asked: row.asked_at !== null, started: false }))) return;
    const { deviceId } = device.identity;
    this.#context.log.info('Tells a device to go to a release', {
      deviceId,
      release: row.release,
      order: row.id,
    });
    try {
      await device.write(packageUriPath, uri, { signal: this.#looks.limit() });
    } catch (error) {
      const failure = toFailure(error);
      // 4.05: it is starting another one. Everything else of 4.xx will be the same the next time.
      if (
        failure instanceof RequestFailure &&
        failure.status >= 400 &&
        failure.status < 500 &&
        failure.status !== 405 &&
        failure.status !== 429
      )
        await orders.end(row, {
          state: 'refused',
          reason: 'order-refused',
          sentence: `The device does not take the order: ${failure.message}`.slice(0, 500),
        });
      throw error;
    }
    await orders.stand(
      row,
      { ...view, sentence: `Was told to go to ${row.release}` },
      { asked: true, started: false },
    );
  }

  /** Has the device give up what it brings for an order that was called off. */
  async #recall(device: DeviceSession, row: ReleaseOrderRow): Promise<string> {
    const status = isUpdatable(device) ? await readStatus(device, this.#looks.limit()) : undefined;
    const brings = status?.state === 'downloading' || status?.state === 'downloaded';
    // LwM2M Core 1.1 Appendix E.6: an empty Package URI resets.
    if (brings && status.uri === packageUri(row))
      await device.write(packageUriPath, '', { signal: this.#looks.limit() });
    await this.#parts.orders.recalled(row);
    return 'recalled';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looks[Symbol.asyncDispose]();
  }
}

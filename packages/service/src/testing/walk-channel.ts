// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { NotificationMessage } from '../features/notifications/message.ts';
import { eventually } from './device.ts';
import type { TestService } from './service.ts';

const pull = '/v2/notification/pull?channel=walk';

/** What came on a long-poll channel: how often, and with what. */
export class WalkChannel {
  /** The statuses that came for each asynchronous request. */
  readonly answers = new Map<string, number[]>();
  /** How often each value came. */
  readonly values = new Map<string, number>();
  /** What came of each device's registration, by its id. */
  readonly notices = new Map<string, string[]>();
  readonly #service: TestService;
  readonly #markId: string;
  #marks = 0;
  #seen = 0;

  private constructor(service: TestService, markId: string) {
    this.#service = service;
    this.#markId = markId;
  }

  static async open(service: TestService): Promise<WalkChannel> {
    const { body } = await service.call('POST', '/v3/devices', { endpoint_name: 'mark' });
    const channel = new WalkChannel(service, body.id);
    await channel.catchUp();
    return channel;
  }

  /**
   * Takes everything that the service has published so far: up to a mark, which is a change of a device that does nothing else. Opens the
   * channel where there is none, and is the use that keeps it: nobody polls while the test's clock is stepped.
   */
  async catchUp(): Promise<void> {
    const mark = ++this.#marks;
    const read = this.#readUntil(mark).then(() => true);
    read.catch(() => {});
    const publish = async () => {
      // Again where the channel was not open yet, or the database not back.
      await this.#service.call('PUT', `/v3/devices/${this.#markId}`, { description: String(mark) });
      return await Promise.race([read, delay(100, false, { ref: false })]);
    };
    await eventually(publish, 'what was published comes');
  }

  async #readUntil(mark: number): Promise<void> {
    while (this.#seen < mark) {
      const { status, body } = await this.#service.get(pull);
      assert.ok(status >= 500 || status === 200 || status === 204, `the channel is answered with ${status}`);
      if (status === 200) this.#take(body as NotificationMessage);
      // A connection to the database that a storm broke is noticed when it is used.
      if (status >= 500) await delay(20);
    }
  }

  #take(message: NotificationMessage): void {
    for (const { id, status } of message['async-responses'] ?? [])
      this.answers.set(id, [...(this.answers.get(id) ?? []), status]);
    for (const { payload } of message.notifications ?? []) {
      const value = Buffer.from(payload, 'base64').toString();
      this.values.set(value, (this.values.get(value) ?? 0) + 1);
    }
    for (const kind of ['registrations', 'reg-updates', 'de-registrations', 'registrations-expired'] as const)
      for (const one of message[kind] ?? []) this.#notice(typeof one === 'string' ? one : one.ep, kind);
    for (const { device_id, changes } of message['device-events'] ?? [])
      if (device_id === this.#markId) this.#seen = Number(changes['description']);
  }

  #notice(deviceId: string, kind: string): void {
    this.notices.set(deviceId, [...(this.notices.get(deviceId) ?? []), kind]);
  }
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import {
  type CoapRequest,
  type CoapResponse,
  Code,
  contentFormatOption,
  type Observer,
  uriPathOptions,
} from '@mbl/coap';
import { certificateIn, enrol, eventually, TestDevice, type TestIdentity } from './device.ts';
import { directoryView } from './directory-view.ts';
import { age, askRenewal, renewIdentity } from './renewal.ts';
import type { TestService } from './service.ts';
import type { WalkChannel } from './walk-channel.ts';
import { DeviceModel } from './walk-model.ts';
import type { WalkWeather } from './walk-weather.ts';

const patienceMs = 60_000;
/** Longer than a test may run: the service's own timers do not fire in it. */
const longLifetime = 900;
/** Fewer than the service lets wait for a device. */
const mostWaiting = 15;

const content = (text: string): CoapResponse => ({
  code: Code.CONTENT,
  options: [contentFormatOption(0)],
  payload: Buffer.from(text),
});

/** What all devices of a walk share. `now` is the service's clock. */
export interface World {
  readonly service: TestService;
  readonly channel: WalkChannel;
  readonly weather: WalkWeather;
  readonly now: () => number;
}

export type Action = readonly [name: string, act: () => Promise<void>];

/** One device of the walk with its owner and its thief: each action is done to the service, and to the model. */
export class Walker {
  readonly model: DeviceModel;
  readonly #world: World;
  /** What it had when it was enrolled is no part of the walk. */
  readonly #eventsBefore: number;
  #identity: TestIdentity;
  /** The certificate after that, which it has not used. */
  #next: TestIdentity | undefined;
  /** The one before, which no longer works. */
  #old: TestIdentity | undefined;
  #device: TestDevice | undefined;
  /** Where it registered last. */
  #location: string[] = [];
  #observers: Observer[] = [];
  #asked = 0;
  #number = 0;
  /** While it is there the device answers nothing; called when it was asked something. */
  #mute: (() => void) | undefined;

  private constructor(world: World, identity: TestIdentity, eventsBefore: number) {
    this.#world = world;
    this.#identity = identity;
    this.#eventsBefore = eventsBefore;
    this.model = new DeviceModel(identity.name);
  }

  static async enrol(world: World, name: string): Promise<Walker> {
    const identity = await enrol(world.service, name);
    const events = await directoryView(() => world.service).eventsOf(identity.deviceId);
    return new Walker(world, identity, events.length);
  }

  /** What may be done next. */
  actions(): Action[] {
    const { online, standing, held, reachable, subscribed, registered, waiting } = this.model;
    const welcome = standing === 'accepted' && !online;
    const idle = online && !subscribed && waiting === 0;
    const some: [boolean, ...Action][] = [
      [welcome, 'connect', () => this.#connect()],
      [welcome, 'register', async () => this.#connect().then(() => this.#register())],
      [welcome && this.#next === undefined, 'renew', () => this.#renew()],
      [welcome && this.#next !== undefined, 'ask for the same certificate', () => this.#renewAgain()],
      [welcome && this.#next !== undefined, 'lose the certificate', () => this.#connectBefore()],
      [welcome && this.#old !== undefined, 'show the old', () => this.#showOld()],
      [standing !== 'accepted', 'be refused', () => this.#refused()],
      [standing === 'suspended', 'resume', () => this.#resume()],
      [standing === 'revoked', 'enrol', () => this.#enrol()],
      [standing === 'accepted', this.#number % 2 === 0 ? 'suspend' : 'revoke', () => this.#lose()],
      [online, 'drop', () => this.#drop()],
      [online, 'clone', () => this.#clone()],
      [online, 'renew a copy', () => this.#renewCopy()],
      [online, 'register', () => this.#register()],
      [online && !reachable, 'register', () => this.#register()],
      [online && held, 'update', () => this.#update()],
      [online && held, 'deregister', () => this.#deregister()],
      [online && !held && this.#location.length > 0, 'update nothing', () => this.#updateNothing()],
      [idle, 'register and expire', () => this.#registerAndExpire()],
      [true, 'read', () => this.#read()],
      [waiting < mostWaiting, 'ask', () => this.#ask(false)],
      [waiting < mostWaiting, 'ask and wait', () => this.#ask(true)],
      [registered && reachable, 'drop while asked', () => this.#dropWhileAsked(false)],
      [registered && reachable, 'drop while asked and waited for', () => this.#dropWhileAsked(true)],
      [!subscribed, 'subscribe', () => this.#subscribe()],
      [subscribed && this.#number % 3 === 0, 'unsubscribe', () => this.#unsubscribe()],
      [subscribed && reachable, 'notify', () => this.#notify()],
    ];
    return some.flatMap(([possible, ...action]) => (possible ? [action] : []));
  }

  /** Those that the service carries out, and a device repeats, whatever becomes of the database meanwhile. */
  hardy(): Action[] {
    const hardy = ['connect', 'drop', 'register', 'update', 'deregister', 'notify'];
    return this.actions().filter(([name]) => hardy.includes(name));
  }

  async #connect(identity = this.#next ?? this.#identity): Promise<void> {
    await eventually(() => this.#tryConnect(identity), 'the service lets the device in', patienceMs);
    if (identity === this.#next) {
      this.#old = this.#identity;
      this.#identity = identity;
      this.#next = undefined;
    }
    this.model.connects();
  }

  async #tryConnect(identity: TestIdentity): Promise<boolean> {
    const handler = async (request: CoapRequest, context: { acceptObserve?: () => Observer }) =>
      await this.#answer(request, context.acceptObserve);
    const device = await TestDevice.connect(this.#world.service, identity, { handler }).catch(
      () => undefined,
    );
    const there = await device?.peer.ping({ timeoutMs: patienceMs }).then(
      () => true,
      () => false,
    );
    if (there) this.#device = device;
    else await device?.[Symbol.asyncDispose]();
    return there ?? false;
  }

  async #answer(_: CoapRequest, acceptObserve: (() => Observer) | undefined): Promise<CoapResponse> {
    if (this.#mute !== undefined) {
      this.#mute();
      await new Promise(() => {});
    }
    if (acceptObserve === undefined) return content('value');
    this.#observers.push(acceptObserve());
    return content(this.model.valueWhenAsked(++this.#asked));
  }

  get #connected(): TestDevice {
    assert.ok(this.#device, 'the device is connected');
    return this.#device;
  }

  async #drop(): Promise<void> {
    await this.leave();
    this.model.drops();
  }

  /** Ends what is still open. */
  async leave(): Promise<void> {
    await this.#device?.[Symbol.asyncDispose]();
  }

  async #turnedAway(identity: TestIdentity, reason: string): Promise<void> {
    await using other = await TestDevice.connect(this.#world.service, identity);
    assert.match(await other.ended(), new RegExp(reason));
    this.model.denies('lwm2m', reason, identity.cert, this.#world.now());
  }

  async #refused(): Promise<void> {
    const reason = this.model.standing === 'suspended' ? 'suspended' : 'revoked-certificate';
    await this.#turnedAway(this.#identity, reason);
  }

  async #showOld(): Promise<void> {
    assert.ok(this.#old);
    await this.#turnedAway(this.#old, 'superseded-certificate');
  }

  /** It comes, and its true holder is not disturbed. */
  async #clone(): Promise<void> {
    await this.#turnedAway(this.#identity, 'already-connected');
    await this.#connected.peer.ping({ timeoutMs: patienceMs });
  }

  async #renew(): Promise<void> {
    this.#next = await renewIdentity(this.#world.service, this.#identity);
    assert.notEqual(this.#next.cert, this.#identity.cert);
    this.model.events.push('certificate-renewed');
  }

  async #renewAgain(): Promise<void> {
    const answer = await askRenewal(this.#world.service, this.#identity);
    assert.equal(certificateIn(answer), this.#next?.cert);
  }

  /** The answer that carried the new one was lost: the one before still lets it in. */
  async #connectBefore(): Promise<void> {
    await this.#connect(this.#identity);
  }

  async #renewCopy(): Promise<void> {
    const { service, now } = this.#world;
    // One that was given already stays as young as it is.
    if (this.#next === undefined) await age(service, this.#identity.deviceId);
    const { status, body } = await askRenewal(service, this.#identity);
    assert.ok(status >= 400 && status < 500, `a copy was answered ${status} ${body}`);
    this.model.denies('est', 'already-connected', this.#identity.cert, now());
  }

  async #register(): Promise<void> {
    const lifetime = longLifetime + (this.#number++ % 10) * 60;
    await this.#connected.registerAgain(lifetime);
    this.#location = this.#connected.location;
    this.model.registers(this.#world.now() + lifetime * 1000);
  }

  /** The registration ends by the service's own timer, in a second. */
  async #registerAndExpire(): Promise<void> {
    await this.#connected.registerAgain(1);
    this.#location = this.#connected.location;
    this.model.registers(0);
    this.model.ends('registration-expired');
  }

  async #update(): Promise<void> {
    const answer = await this.#connected.post(this.#location, [`lt=${longLifetime}`]);
    assert.equal(answer.code, Code.CHANGED);
    this.model.updates(this.#world.now() + longLifetime * 1000);
  }

  async #updateNothing(): Promise<void> {
    const answer = await this.#connected.post(this.#location, [`lt=${longLifetime}`]);
    assert.equal(answer.code, Code.NOT_FOUND);
  }

  async #deregister(): Promise<void> {
    const request = { code: Code.DELETE, options: uriPathOptions(this.#location), payload: new Uint8Array() };
    const answer = await this.#connected.peer.request(request, { timeoutMs: patienceMs });
    assert.equal(answer.code, Code.DELETED);
    this.model.ends('deregistered');
  }

  async #call(method: string, path: string, body?: unknown) {
    return await this.#world.service.call(method, path.replace('{id}', this.#identity.deviceId), body);
  }

  async #lose(): Promise<void> {
    if (this.#number++ % 2 === 0) {
      const { status } = await this.#call('POST', '/v3/devices/{id}/suspend', { category: 'other' });
      assert.equal(status, 204);
      return this.model.loses('suspended');
    }
    const { status } = await this.#call('POST', '/v3/devices/{id}/certificates/revoke', { reason: 'walk' });
    assert.equal(status, 200);
    this.model.loses('revoked');
  }

  async #resume(): Promise<void> {
    const { status } = await this.#call('POST', '/v3/devices/{id}/resume', { category: 'other' });
    assert.equal(status, 204);
    this.model.accepted('resumed');
  }

  /** With a new code, for a new key. */
  async #enrol(): Promise<void> {
    const identity = await enrol(this.#world.service, this.#identity.name);
    assert.equal(identity.deviceId, this.#identity.deviceId);
    this.#identity = identity;
    this.#next = undefined;
    this.#old = undefined;
    this.model.accepted('enrolled');
  }

  async #read(): Promise<void> {
    const { status } = await this.#call('GET', '/v3/devices/{id}/resources/3/0/0');
    const { standing, reachable } = this.model;
    assert.equal(status, reachable ? 200 : standing === 'suspended' ? 409 : 503, 'a read');
  }

  async #ask(waits: boolean): Promise<void> {
    const id = `${this.model.name}-${++this.#number}`;
    const path = `/v2/device-requests/{id}?async-id=${id}&expiry-seconds=86400${waits ? '&retry=3' : ''}`;
    const { status } = await this.#call('POST', path, { method: 'GET', uri: '/3/0/0' });
    const { registered, standing } = this.model;
    const taken = registered && standing !== 'suspended';
    assert.equal(status, taken ? 202 : 400, 'a request');
    if (taken) this.model.asks(id, waits);
  }

  /** The connection breaks while a request is under way: one that may be sent again waits until the device is there. */
  async #dropWhileAsked(waits: boolean): Promise<void> {
    const muted = Promise.withResolvers<void>();
    this.#mute = muted.resolve;
    await this.#ask(waits);
    await muted.promise;
    this.#mute = undefined;
    await this.#drop();
    this.model.breaksOff(waits);
  }

  async #subscribe(): Promise<void> {
    const { status, body } = await this.#call('PUT', '/v2/subscriptions/{id}/3/0/9');
    assert.equal(status, 202);
    this.model.subscribes(body['async-response-id']);
  }

  async #unsubscribe(): Promise<void> {
    const { status } = await this.#call('DELETE', '/v2/subscriptions/{id}/3/0/9');
    assert.equal(status, 204);
    this.model.subscribed = false;
  }

  async #notify(): Promise<void> {
    const value = `${this.model.name} says ${++this.#number}`;
    for (const one of this.#observers) if (!one.signal.aborted) one.notify(content(value));
    this.model.told.push(value);
  }

  /** Waits until the service shows what the model says, and no more than that. `meanwhile` runs before each look. */
  async check(what: () => string, meanwhile: () => void = () => {}): Promise<void> {
    let shown: unknown;
    const wanted = this.#wanted();
    const agrees = async () => {
      meanwhile();
      shown = await this.#shown();
      return isDeepStrictEqual(shown, wanted);
    };
    await eventually(agrees, 'the model', patienceMs).catch(() => {
      assert.deepEqual(shown, wanted, `${this.model.name} after ${what()}`);
    });
  }

  #wanted() {
    const { online, registered, events, notices, denials, answers, told, reachable, subscribed, asked } =
      this.model;
    return {
      online,
      registered,
      events: [...events],
      notices: notices.toSorted(),
      denials,
      answers: [...answers].map(([id, status]) => [id, status === undefined ? [] : [status]]),
      told: new Map(told.map((value) => [value, 1])),
      asked,
      observers: reachable && subscribed ? 1 : 0,
    };
  }

  async #shown() {
    const { service, channel, weather } = this.#world;
    const { deviceId } = this.#identity;
    const device = await directoryView(() => service).show(deviceId);
    const list = await service.get(`/v3/device-events?limit=1000&order=ASC&device_id__eq=${deviceId}`);
    const { rows } = await weather.database.query<{ reason: string; times: number }>(
      'select reason, sum(times)::int as times from denials where device_id = $1 group by reason',
      [deviceId],
    );
    await channel.catchUp();
    const mine = ([value]: [string, unknown]) => value.startsWith(`${this.model.name} `);
    return {
      online: device.online,
      registered: device.state === 'registered',
      events: ((list.body.data ?? []) as { event_type: string }[])
        .slice(this.#eventsBefore)
        .map(({ event_type }) => event_type.replace('device.', '')),
      notices: (channel.notices.get(deviceId) ?? []).toSorted(),
      denials: new Map(rows.map(({ reason, times }) => [reason, times])),
      answers: [...this.model.answers.keys()].map((id) => [id, channel.answers.get(id) ?? []]),
      told: new Map([...channel.values].filter(mine)),
      asked: this.#asked,
      observers: this.#observers.filter(({ signal }) => !signal.aborted).length,
    };
  }
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'node:test';
import {
  type CoapPeer,
  type CoapResponse,
  Code,
  contentFormatOption,
  type NotificationListener,
  OptionNumber,
  uriPathOptions,
  uriQueryOptions,
} from '@mbl/coap';
import type { Context } from '../../context.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import { silentLog } from '../../infra/log.ts';
import type { Denials } from '../denials/denials.ts';
import { type Connection, Connections, type DeviceIdentity } from './connections.ts';
import type { Presence } from './presence.ts';
import { Registrations } from './registrations.ts';
import type { DeviceSession } from './session.ts';

const identity: DeviceIdentity = {
  deviceId: 'd',
  endpointName: 'board',
  fingerprint: '',
  remoteAddress: '192.0.2.1',
};
const content = (...options: CoapResponse['options']): CoapResponse => ({
  code: Code.CONTENT,
  options: [...options, contentFormatOption(0)],
  payload: new Uint8Array(),
});

/** One end of a connection: what is observed over it, and what of that was called off. */
class FakePeer {
  readonly #closing = new AbortController();
  readonly closed = this.#closing.signal;
  readonly listeners: NotificationListener[] = [];
  cancelled = 0;
  answer = Promise.resolve();

  readonly observe: CoapPeer['observe'] = async (_request, listener) => {
    this.listeners.push(listener);
    await this.answer;
    const cancel = async () => void (this.cancelled += 1);
    return { first: content({ number: OptionNumber.OBSERVE, value: new Uint8Array([1]) }), cancel };
  };

  close(): void {
    this.#closing.abort();
  }
}

/** The service's side of one device. */
class Scene implements Disposable {
  readonly connections = new Connections();
  readonly sessions: DeviceSession[] = [];
  readonly gone: string[] = [];
  refuses = false;
  readonly #registrations: Registrations;

  constructor() {
    let ids = 0;
    const written = async () => {
      if (this.refuses) throw new Error('the database refuses it');
    };
    const presence = { registered: written, updated: written, deregistered: written } as unknown as Presence;
    this.#registrations = new Registrations({ newId: () => String(++ids), log: silentLog } as Context, {
      denials: {} as Denials,
      presence,
      queue: new KeyedQueue(),
      connections: this.connections,
    });
    this.connections.on('reachable', (session) => this.sessions.push(session));
    this.connections.on('gone', ({ deviceId }) => this.gone.push(deviceId));
  }

  connect(): { peer: FakePeer; connection: Connection } {
    const peer = new FakePeer();
    const socket = new Socket();
    const connection = { identity, peer: peer as unknown as CoapPeer, socket, lastSeen: 0, savedLastSeen: 0 };
    this.connections.add(connection);
    return { peer, connection };
  }

  /** Sends a request of the device; gives the code of the answer. */
  async sends(peer: FakePeer, code: number, path: string): Promise<number> {
    const links = code === Code.POST && path === 'rd' ? Buffer.from('</3/0>') : new Uint8Array();
    const format = links.length > 0 ? [contentFormatOption(40)] : [];
    const options = [
      ...uriPathOptions(path.split('/')),
      ...format,
      ...uriQueryOptions(['lwm2m=1.1', 'lt=60']),
    ];
    const answer = await this.#registrations.handler(identity)(
      { code, options, payload: links },
      { peer: peer as unknown as CoapPeer },
    );
    await nextTurn();
    return answer.code;
  }

  [Symbol.dispose](): void {
    this.#registrations[Symbol.dispose]();
  }

  get current(): DeviceSession | undefined {
    return this.connections.reach('d');
  }
}

test('a session lasts as long as its registration and its connection, and another takes its place', async () => {
  using scene = new Scene();
  const { peer, connection } = scene.connect();
  assert.equal(scene.current, undefined, 'connected, not registered');
  assert.equal(await scene.sends(peer, Code.POST, 'rd'), Code.CREATED);
  const [first] = scene.sessions;
  assert.equal(scene.current, first);
  assert.deepEqual(first?.paths, [[3, 0]]);

  assert.equal(await scene.sends(peer, Code.POST, 'rd'), Code.CREATED);
  const [, second] = scene.sessions;
  assert.deepEqual([first?.over, scene.current === second], [true, true]);
  // An update over the same connection says nothing new.
  assert.equal(await scene.sends(peer, Code.POST, 'rd/2'), Code.CHANGED);
  assert.deepEqual([scene.current === second, scene.sessions.length], [true, 2]);

  // The registration outlives its connection, and counts again when the device shows it on the next one.
  peer.close();
  assert.deepEqual([second?.over, scene.current], [true, undefined]);
  scene.connections.remove(connection);
  const { peer: next } = scene.connect();
  assert.equal(scene.current, undefined);
  assert.equal(await scene.sends(next, Code.POST, 'rd/2'), Code.CHANGED);
  assert.deepEqual([scene.current === scene.sessions[2], scene.sessions.length], [true, 3]);

  assert.deepEqual(scene.gone, []);
  assert.equal(await scene.sends(next, Code.DELETE, 'rd/2'), Code.DELETED);
  assert.deepEqual([scene.sessions[2]?.over, scene.current, scene.gone], [true, undefined, ['d']]);
});

test('no session begins over a connection that ended, or that another has replaced', async () => {
  using scene = new Scene();
  const { peer } = scene.connect();
  peer.close();
  assert.equal(await scene.sends(peer, Code.POST, 'rd'), Code.CREATED);
  const { peer: old } = scene.connect();
  scene.connect();
  assert.equal(await scene.sends(old, Code.POST, 'rd'), Code.CREATED);
  assert.deepEqual([scene.sessions, scene.current], [[], undefined]);
});

test('a registration that cannot be written down ends the session of the one before', async () => {
  using scene = new Scene();
  const { peer } = scene.connect();
  await scene.sends(peer, Code.POST, 'rd');
  scene.refuses = true;
  await assert.rejects(scene.sends(peer, Code.POST, 'rd'), /the database refuses it/);
  assert.deepEqual([scene.sessions.length, scene.current], [1, undefined]);
});

test('what is observed in a session ends with it, once', async () => {
  using scene = new Scene();
  const { peer } = scene.connect();
  await scene.sends(peer, Code.POST, 'rd');
  const session = scene.current;
  assert.ok(session);
  const stays = await session.observe('/3/0/9', () => {});
  await (await session.observe('/3/0/13', () => {})).cancel();
  await session.observe('/3/0/14', () => {});
  peer.listeners[2]?.({ ...content(), code: Code.NOT_FOUND });
  assert.equal(peer.cancelled, 1, 'called off');
  const slow = Promise.withResolvers<void>();
  peer.answer = slow.promise;
  const late = session.observe('/3/0/15', () => {});

  await scene.sends(peer, Code.POST, 'rd');
  assert.equal(peer.cancelled, 2, 'not the one that ended by itself');
  slow.resolve();
  await late;
  assert.equal(peer.cancelled, 3, 'nor does one that was asked for begin');
  assert.ok(stays.accepted);
});

// SPDX-License-Identifier: Apache-2.0
import type { AppCallers } from '@mbl/formats';
import type { Lwm2mClient } from '@mbl/lwm2m';
import type { Log } from '../../common/log.ts';
import { sleep } from '../../common/wait.ts';
import { Backoff } from '../backoff.ts';
import { type AppListener, AppObjects } from './app-objects.ts';
import { BusError } from './bus-error.ts';
import type { CallersFile } from './callers-file.ts';
import { serveCloud } from './cloud.ts';
import { BusConnection, type Incoming } from './connection.ts';
import { type DeviceFacts, serveDevice } from './device.ts';
import { type Answer, dispatch, type Served } from './dispatch.ts';
import { appInterfaces, cloudInterface, signatureOf } from './interfaces.ts';
import { type Header, messageType } from './message.ts';
import { TokenBucket } from './token-bucket.ts';

/** A thousand values a second, and some more. */
const usualCalls = 1500;
/** Bytes for which a call counts once more: to read a long one takes as long as many short ones. */
const callBytes = 4096;
/** Bytes of a call's arguments. */
const longestBody = 128 * 1024;
/** Calls that wait until the bus has said who makes them. */
const mostUnknown = 64;
/** Milliseconds between looks at who the apps are, and the longest pause after the bus failed. */
const lookEvery = 1000;
const longestPause = 30_000;
/** DBUS_NAME_FLAG_DO_NOT_QUEUE, DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER (D-Bus Specification, RequestName). */
const doNotQueue = 4;
const primaryOwner = 1;

/** A connection of somebody else's. */
interface Peer {
  /** Undefined while the bus is asked. */
  uid: number | undefined;
  readonly waiting: Incoming[];
  readonly listener: AppListener;
}

export interface AppBusOptions extends Omit<DeviceFacts, 'now'> {
  /** The socket of the apps' bus. */
  readonly socket: string;
  readonly callers: Pick<CallersFile, 'read'>;
  /** Calls that an app may make at once, and in a second. */
  readonly callsAtOnce?: number;
  readonly callsPerSecond?: number;
}

/** Serves the apps on their bus: `com.mbl.Cloud1` and `com.mbl.Device1`. */
export class AppBus {
  readonly #options: AppBusOptions;
  readonly #log: Log;
  #objects: AppObjects | undefined;
  #served: readonly Served[] = [];
  #callers: AppCallers = new Map();
  #connection: BusConnection | undefined;
  #isRegistered = false;
  readonly #peers = new Map<string, Peer>();
  /** By uid: what is left to it, and whether it has been told of in the log. */
  readonly #budgets = new Map<number, { readonly bucket: TokenBucket; isTold: boolean }>();

  constructor(options: AppBusOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** What apps register goes into this client. */
  serve(client: Lwm2mClient): void {
    const objects = new AppObjects({ client });
    this.#objects = objects;
    this.#served = [
      serveCloud(objects, () => this.#isRegistered),
      serveDevice({ ...this.#options, now: Date.now }),
    ];
  }

  /** Tells apps whether the device is registered with its service. */
  registered(isRegistered: boolean): void {
    if (isRegistered === this.#isRegistered) return;
    this.#isRegistered = isRegistered;
    const value = { signature: 's', value: this.#served[0]?.property('ConnectionState') };
    this.#connection?.send({
      type: messageType.signal,
      path: cloudInterface.path,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'PropertiesChanged',
      signature: 'sa{sv}as',
      body: [cloudInterface.name, new Map([['ConnectionState', value]]), []],
    });
  }

  /** Until the signal is aborted. There is no connection while no app may talk. */
  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ firstMs: lookEvery, random: Math.random });
    while (!signal.aborted) {
      await this.#look();
      let pause = lookEvery;
      if (this.#callers.size === 0) this.#disconnect();
      else if (this.#connection === undefined) {
        try {
          await this.#connect();
          backoff.reset();
        } catch (error) {
          this.#disconnect();
          pause = backoff.next(longestPause);
          this.#log.warning('apps cannot talk', {
            reason: error instanceof Error ? error.message : String(error),
            retryMs: pause,
          });
        }
      }
      await sleep(pause, signal);
    }
    this.#disconnect();
    this.#objects?.stop();
  }

  async #look(): Promise<void> {
    const callers = await this.#options.callers.read();
    if (callers === this.#callers) return;
    this.#callers = callers;
    this.#objects?.callersChanged(callers);
    this.#options.deferrals.keep((uid) => callers.has(uid));
    for (const uid of this.#budgets.keys()) if (!callers.has(uid)) this.#budgets.delete(uid);
  }

  async #connect(): Promise<void> {
    const { socket } = this.#options;
    const connection = await BusConnection.open({
      path: socket,
      longestBody,
      onMessage: (from, message) => this.#onMessage(from, message),
      onEnd: (ended) => {
        if (this.#connection !== ended) return;
        this.#log.warning('bus of the apps lost');
        this.#disconnect();
      },
    });
    this.#connection = connection;
    const gone = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
    await connection.callBus('AddMatch', 's', [gone], '');
    for (const { name } of appInterfaces) {
      const [result] = await connection.callBus('RequestName', 'su', [name, doNotQueue], 'u');
      if (result !== primaryOwner) throw new Error(`somebody else has the name ${name}`);
    }
    this.#log.info('apps can talk', { apps: this.#callers.size });
  }

  #disconnect(): void {
    this.#connection?.[Symbol.dispose]();
    this.#connection = undefined;
    for (const { listener } of this.#peers.values()) this.#objects?.disconnected(listener);
    this.#peers.clear();
  }

  #onMessage(connection: BusConnection, message: Incoming): void {
    const { header } = message;
    if (header.type === messageType.signal) return this.#onSignal(message);
    if (header.type !== messageType.call) return;
    const known = this.#peers.get(header.sender);
    const peer = known ?? this.#meet(connection, header.sender);
    if (peer.uid !== undefined) return this.#serveCall(connection, message, peer, peer.uid);
    if (peer.waiting.length < mostUnknown) peer.waiting.push(message);
    else this.#refuse(connection, header, new BusError('LimitsExceeded', 'wait for an answer first'));
  }

  #onSignal(message: Incoming): void {
    const { sender, member } = message.header;
    if (sender !== 'org.freedesktop.DBus' || member !== 'NameOwnerChanged') return;
    const [name] = message.body('sss') as string[];
    const peer = name === undefined ? undefined : this.#peers.get(name);
    if (name === undefined || peer === undefined) return;
    this.#peers.delete(name);
    this.#objects?.disconnected(peer.listener);
  }

  /** Asks the bus who that is. Its unique name is never given to another connection (D-Bus Specification, "Message Bus Names"). */
  #meet(connection: BusConnection, name: string): Peer {
    const peer: Peer = { uid: undefined, waiting: [], listener: this.#listener(connection, name) };
    this.#peers.set(name, peer);
    void connection.callBus('GetConnectionUnixUser', 's', [name], 'u').then(
      ([uid]) => {
        peer.uid = uid as number;
        for (const message of peer.waiting.splice(0)) this.#serveCall(connection, message, peer, peer.uid);
      },
      // It went away meanwhile.
      () => this.#peers.delete(name),
    );
    return peer;
  }

  #listener(connection: BusConnection, destination: string): AppListener {
    const signal = (member: keyof typeof cloudInterface.signals, body: readonly unknown[]) =>
      connection.send({
        type: messageType.signal,
        destination,
        path: cloudInterface.path,
        interface: cloudInterface.name,
        member,
        signature: signatureOf(cloudInterface.signals[member]),
        body,
      });
    return {
      written: (path, value) => signal('Written', [path, value]),
      executed: (path, text) => signal('Executed', [path, text]),
    };
  }

  #serveCall(connection: BusConnection, message: Incoming, peer: Peer, uid: number): void {
    const { header } = message;
    const fail = (error: unknown) => this.#refuse(connection, header, error);
    try {
      this.#spend(uid, message.bytes);
      const app = this.#callers.get(uid);
      if (app === undefined) throw new BusError('AccessDenied', 'this is no app that may talk');
      const answer = dispatch(message, { uid, app, listener: peer.listener }, this.#served);
      if (answer instanceof Promise) void answer.then((one) => this.#answer(connection, header, one), fail);
      else this.#answer(connection, header, answer);
    } catch (error) {
      fail(error);
    }
  }

  #spend(uid: number, bytes: number): void {
    const { callsAtOnce: burst = usualCalls, callsPerSecond: perSecond = usualCalls } = this.#options;
    const budget = this.#budgets.get(uid) ?? {
      bucket: new TokenBucket({
        burst,
        perSecond,
        now: () => performance.now(),
      }),
      isTold: false,
    };
    this.#budgets.set(uid, budget);
    if (budget.bucket.take(Math.min(burst, 1 + Math.floor(bytes / callBytes)))) return;
    if (!budget.isTold)
      this.#log.warning('app calls too often', { app: this.#callers.get(uid)?.app ?? '', uid });
    budget.isTold = true;
    throw new BusError('LimitsExceeded', `an app may make ${perSecond} calls a second`);
  }

  #answer(connection: BusConnection, { wantsReply, serial, sender }: Header, answer: Answer): void {
    if (!wantsReply) return;
    connection.send({ type: messageType.answer, replySerial: serial, destination: sender, ...answer });
  }

  #refuse(connection: BusConnection, header: Header, error: unknown): void {
    const isOurs = error instanceof BusError;
    if (!isOurs)
      this.#log.error('call of an app failed', {
        member: header.member,
        reason: error instanceof Error ? error.message : String(error),
      });
    if (!header.wantsReply) return;
    connection.send({
      type: messageType.error,
      replySerial: header.serial,
      destination: header.sender,
      errorName: isOurs ? error.busName : 'org.freedesktop.DBus.Error.Failed',
      signature: 's',
      body: [isOurs ? error.message : 'this could not be done'],
    });
  }
}

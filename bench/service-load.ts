// SPDX-License-Identifier: Apache-2.0
//
// Simulated devices in a process of their own: node bench/service-load.ts JOB.json, started with an IPC channel. Does what it is told, an
// answer to each message.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createSecureContext, connect as connectTls, type TLSSocket } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CoapPeer,
  Code,
  connectStream,
  contentFormatOption,
  type Observer,
  type RequestHandler,
  uriPathOptions,
  uriQueryOptions,
} from '@mbl/coap';
import type { SimulatedDevices } from './service-devices.ts';

export interface LoadJob extends SimulatedDevices {
  readonly port: number;
  /** PEM. */
  readonly ca: string;
}

export type LoadOrder =
  /** Connects devices `from` to `to`, so many at a time, each until it is in; with `coap` they register, without they wait for a byte. */
  | {
      readonly do: 'connect';
      readonly from: number;
      readonly to: number;
      readonly atOnce: number;
      readonly coap: boolean;
    }
  /** Device `device` notifies its observer so often, `pauseMs` apart, of the present value of the clock that all processes share, in ns. */
  | { readonly do: 'notify'; readonly device: number; readonly times: number; readonly pauseMs: number }
  /** How many connections are open. */
  | { readonly do: 'count' }
  | { readonly do: 'close' };

export interface LoadAnswer {
  readonly seconds: number;
  readonly connected: number;
  /** Connections that broke before the device was in; each was tried again. */
  readonly failed: number;
  /** Of each device that came in, milliseconds from the first try until it was. */
  readonly waits: readonly number[];
}

const objects = '</>;rt="oma.lwm2m";ct=112,</1/0>,</3/0>,</4/0>,</14/0>,</14/1>,</14/2>';
const job = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8')) as LoadJob;
const sockets = new Set<TLSSocket>();
const observers = new Map<number, Observer>();

process.on('message', (order: LoadOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit());

async function obey(order: LoadOrder): Promise<LoadAnswer> {
  const begin = performance.now();
  const waits: number[] = [];
  let failed = 0;
  if (order.do === 'connect') {
    let next = order.from;
    const worker = async () => {
      while (next < order.to) {
        const device = next++;
        const since = performance.now();
        for (
          let pauseMs = 500;
          !(await comeIn(device, order.coap));
          pauseMs = Math.min(15_000, pauseMs * 2)
        ) {
          failed += 1;
          await sleep(pauseMs * Math.random());
        }
        waits.push(performance.now() - since);
      }
    };
    await Promise.all(Array.from({ length: order.atOnce }, worker));
  } else if (order.do === 'notify') {
    for (let n = 0; n < order.times; n++) {
      observers.get(order.device)?.notify(clock());
      await sleep(order.pauseMs);
    }
  } else if (order.do === 'close') {
    for (const socket of sockets) socket.destroy();
  }
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, connected: sockets.size, failed, waits };
}

const clock = () => ({
  code: Code.CONTENT,
  options: [contentFormatOption(0)],
  payload: Buffer.from(String(process.hrtime.bigint())),
});

/** False when the connection broke. */
async function comeIn(number: number, coap: boolean): Promise<boolean> {
  const device = job.devices[number];
  if (device === undefined) throw new Error(`there is no device ${number}`);
  const socket = connectTls({
    host: '127.0.0.1',
    port: job.port,
    servername: 'service.mbl.internal',
    ALPNProtocols: ['coap'],
    secureContext: createSecureContext({ ca: job.ca, key: job.key, cert: device.cert }),
  });
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
  socket.on('error', () => {});
  try {
    await once(socket, 'secureConnect');
    if (coap) await register(number, connectStream(socket, { handler: observed(number) }), device.name);
    else await once(socket, 'data');
    return true;
  } catch {
    socket.destroy();
    return false;
  }
}

const observed =
  (number: number): RequestHandler =>
  (_request, { acceptObserve }) => {
    if (acceptObserve !== undefined) observers.set(number, acceptObserve());
    return clock();
  };

async function register(number: number, peer: CoapPeer, name: string): Promise<void> {
  const query = [`ep=${name}`, 'lt=86400', 'lwm2m=1.1', 'b=T'];
  const options = [...uriPathOptions(['rd']), contentFormatOption(40), ...uriQueryOptions(query)];
  const answer = await peer.request(
    { code: Code.POST, options, payload: Buffer.from(objects) },
    { timeoutMs: 120_000 },
  );
  if (answer.code !== Code.CREATED) throw new Error(`device ${number} was refused`);
}

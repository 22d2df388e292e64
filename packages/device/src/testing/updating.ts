// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { UpdateMemory } from '../cloud-client/update/memory.ts';
import { httpRepository } from '../cloud-client/update/repository.ts';
import { Updater } from '../cloud-client/update/updater.ts';
import { fileServer, publishComponent } from './payload-server.ts';
import { FakePlatform, KeptLog, TemporaryFolder } from './support.ts';

const signed = { 'metadata/timestamp.json': Buffer.from('signed') };

interface World {
  /** Before a request is answered: true when it has been. */
  respond?: (...request: Parameters<RequestListener>) => boolean | void;
  patience?: number;
}

/** For tests: an updater beside a web server that has a release, or answers as the test says. */
export async function updating(t: TestContext, { respond = () => false, patience = 60_000 }: World = {}) {
  const folder = new TemporaryFolder();
  const { component, files, whole, image } = await publishComponent(folder.path);
  for (const [name, bytes] of Object.entries(signed)) files.set(name, bytes);
  const given = new Map<string, number>();
  const serve = fileServer(files, (path, bytes) => given.set(path, (given.get(path) ?? 0) + bytes));
  /** How many requests came: what stalls on a busy machine is asked for again, and costs again. */
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    if (respond(request, response) !== true) serve(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kept = new KeptLog();
  const updaters: Updater[] = [];
  let asks: { readonly app: string; readonly reason: string } | undefined;
  /** The client after a restart, with what it remembers. */
  const start = async () => {
    const platform = new FakePlatform();
    platform.components = [component];
    const memory = await UpdateMemory.load(folder.path);
    const updater = new Updater({
      platform,
      memory,
      deferrals: { current: () => asks },
      repository: httpRepository({
        service: { url: 'https://127.0.0.1:1', serverName: '', trust: '' },
        state: folder.path,
        stallMs: 200,
        rounds: 1,
      }),
      log: kept.log,
      timing: { retryFirst: 1, retryMax: 20, patience, deferralLook: 10 },
      now: Date.now,
      changed: () => undefined,
    });
    updaters.push(updater);
    return { updater, platform, memory };
  };
  t.after(async () => {
    for (const updater of updaters) await updater[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
    folder[Symbol.dispose]();
  });
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mirror#1.1`;
  const { device } = component;
  const defer = (by: typeof asks) => (asks = by);
  const asked = () => requests;
  return {
    ...(await start()),
    start,
    defer,
    component,
    files,
    given,
    asked,
    whole,
    image,
    device,
    uri,
    kept,
  };
}

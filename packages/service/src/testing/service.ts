// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { ServiceFile } from '@mbl/formats';
import pg from 'pg';
import { type ConnectionTarget, PrivateCluster } from '../infra/postgres/cluster.ts';
import { undeclaredAnswer } from '../infra/http/server.ts';
import { type Log, silentLog } from '../infra/log.ts';
import { type Service, type ServiceOptions, startService } from '../service.ts';

/** One cluster for all tests of a process; every service gets a database of its own in it. */
let shared: Promise<{ target: ConnectionTarget; end: () => Promise<void> }> | undefined;
let databases = 0;

after(async () => (await shared)?.end());

async function startCluster() {
  const directory = await mkdtemp(join(tmpdir(), 'mbl-service-'));
  await chmod(directory, 0o711);
  const cluster = new PrivateCluster({ directory: join(directory, 'postgres') });
  const target = await cluster.start();
  const end = async () => {
    await cluster[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  };
  return { target, end };
}

/** The URL of a new, empty database. */
export async function newDatabase(): Promise<string> {
  shared ??= startCluster();
  const { target } = await shared;
  const name = `test_${++databases}`;
  const client = new pg.Client(target);
  await client.connect();
  await client.query(`create database ${name}`);
  await client.end();
  return `postgres:///${name}?host=${encodeURIComponent(target.host)}&user=${target.user}`;
}

export interface Answer {
  status: number;
  headers: Headers;
  // What a route answers is what the test is about.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  body: any;
}

/** What tests ask of a service, in this process or in one of its own. */
export interface Served {
  readonly service: { readonly file: ServiceFile };
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

/** One request to the REST API with the service's own key. */
export async function callService(
  { http, apiKey }: ServiceFile,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(http + path, {
    method,
    headers: {
      authorization: `Bearer ${apiKey}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  return {
    status: response.status,
    headers: response.headers,
    body: json && text !== '' ? JSON.parse(text) : text,
  };
}

export class TestService implements AsyncDisposable {
  readonly directory: string;
  readonly options: ServiceOptions;
  service: Service;
  /** Answers that the API's description does not have: each fails the test that got it. */
  readonly undeclared: readonly unknown[];

  private constructor(
    directory: string,
    options: ServiceOptions,
    service: Service,
    undeclared: readonly unknown[],
  ) {
    this.undeclared = undeclared;
    this.directory = directory;
    this.options = options;
    this.service = service;
  }

  static async start(options: Partial<ServiceOptions> = {}): Promise<TestService> {
    const directory = await mkdtemp(join(tmpdir(), 'mbl-service-'));
    const undeclared: unknown[] = [];
    const log = watchedLog(options.log ?? silentLog, undeclared);
    const all = { directory, databaseUrl: await newDatabase(), ...options, log };
    return new TestService(directory, all, await startService(all), undeclared);
  }

  /** Stops it and starts it on the same directory, database and ports. */
  async restart(): Promise<void> {
    const { ports } = this.service.file;
    await this.service[Symbol.asyncDispose]();
    const listen = {
      ...this.options.listen,
      estPort: ports.est,
      lwm2mPort: ports.lwm2m,
      httpPort: ports.http,
    };
    this.service = await startService({ ...this.options, listen });
  }

  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return await callService(this.service.file, method, path, body, headers);
  }

  get(path: string): Promise<Answer> {
    return this.call('GET', path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true });
    assert.deepEqual(this.undeclared, [], undeclaredAnswer);
  }
}

function watchedLog(log: Log, undeclared: unknown[]): Log {
  return {
    info: (message, fields) => log.info(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    error(message, fields) {
      if (message === undeclaredAnswer) undeclared.push(fields);
      log.error(message, fields);
    },
  };
}

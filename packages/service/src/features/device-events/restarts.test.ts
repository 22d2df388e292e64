// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WatchedDatabase } from '../../testing/commit-log.ts';
import { Daemon } from '../../testing/daemon.ts';
import { enrol, eventually, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { seeded } from '../../testing/seeded.ts';

/** `MBL_TEST_RESTARTS=100` is the long run. */
const restarts = Number(process.env['MBL_TEST_RESTARTS'] ?? 10);
const writers = 5;

type Event = { id: string; event_type: string; device_id: string };
/** How a life ends. */
type Ending = 'killed at the start' | 'killed' | 'stopped';

const endings: readonly Ending[] = ['killed at the start', 'killed', 'killed', 'killed', 'stopped'];

/** Holds transactions that write events open for a moment, each for another one, as a slow disk would: they overlap, and commit late. */
const slowly = `
  create function linger() returns trigger language plpgsql as
    $$ begin perform pg_sleep(random() * random() * 0.04); return null; end $$;
  create trigger linger after insert on device_events for each statement execute function linger()`;

test('a reader by cursor gets every event once, in the order of commits, whenever the service is killed', {
  timeout: 600_000,
}, async (t) => {
  const seed = Number(process.env['MBL_TEST_SEED'] ?? randomInt(2 ** 31));
  t.diagnostic(`MBL_TEST_SEED=${seed} MBL_TEST_RESTARTS=${restarts}`);
  const random = seeded(seed);
  await using database = await WatchedDatabase.start();
  await using scratch = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'mbl-service-'));
  scratch.defer(() => rm(directory, { recursive: true, force: true }));
  const start = async (): Promise<Daemon> => (await Daemon.start(directory, database.url)) as Daemon;

  const identities: TestIdentity[] = [];
  {
    await using first = await start();
    for (const name of ['comes-and-goes', 'goes-and-comes']) identities.push(await enrol(first, name));
  }
  await database.client.query(slowly);

  let life = Promise.withResolvers<Daemon>();
  let answers = 0;
  const running = new AbortController();
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  running.signal.addEventListener('abort', () => ended.reject(running.signal.reason));

  /** Does something again and again with whichever service is there; what breaks with a service is done anew with the next one. */
  async function always(act: (service: Daemon, round: number) => Promise<unknown>): Promise<void> {
    for (let round = 0; !running.signal.aborted; round++) {
      const service = await Promise.race([life.promise, ended.promise]).catch(() => undefined);
      if (service === undefined) return;
      await act(service, round).catch(() => delay(5));
    }
  }
  const write = (which: number) =>
    always(async (service, round) => {
      // Devices of its own, and one that all change.
      const { status, body } =
        round % 3 === 0
          ? await service.call('POST', '/v3/devices', { endpoint_name: `w${which}-${answers}-${round}` })
          : await service.call('PUT', `/v3/devices/${identities[0]?.deviceId}`, { name: `${which}` });
      assert.ok(status < 300, JSON.stringify(body));
      answers += 1;
    });
  const comeAndGo = (identity: TestIdentity) =>
    always(async (service) => {
      await using _ = await TestDevice.register(service, identity);
      await delay(random() * 20);
    });
  const seen: Event[] = [];
  let wrong: unknown;
  async function read(service: Daemon): Promise<number> {
    const after = seen.length === 0 ? '' : `&after=${seen.at(-1)?.id}`;
    const { status, body } = await service.get(
      `/v3/device-events?limit=${2 + Math.floor(random() * 30)}${after}`,
    );
    if (status !== 200) wrong = body;
    assert.equal(status, 200);
    seen.push(...body.data);
    return body.data.length;
  }

  const work = [
    always(read),
    ...identities.map(comeAndGo),
    ...Array.from({ length: writers }, (_, which) => write(which)),
  ];
  const counts = { 'killed at the start': 0, killed: 0, stopped: 0 };
  try {
    for (let round = 0; round < restarts; round++) {
      const ending = endings[Math.floor(random() * endings.length)] as Ending;
      counts[ending] += 1;
      if (ending === 'killed at the start') {
        await (await Daemon.start(directory, database.url, delay(random() * 500)))?.kill();
        continue;
      }
      const service = await start();
      life.resolve(service);
      const enough = answers + 1 + Math.floor(random() * 20);
      await eventually(async () => answers >= enough, 'the service answers');
      await delay(random() * 20);
      life = Promise.withResolvers();
      if (ending === 'killed') await service.kill();
      else await service[Symbol.asyncDispose]();
    }
  } finally {
    running.abort();
    await Promise.all(work);
  }
  await using last = await start();
  // Nobody writes any more: the end is an empty page when what the last start wrote has been committed.
  await eventually(async () => (await read(last)) === 0, 'the reader is at the end', 60_000);

  const commits = await database.commits();
  const late = commits.filter(({ begin }, index) => begin < (commits[index - 1]?.end ?? 0n)).length;
  t.diagnostic(
    `${JSON.stringify(counts)}; ${commits.length} transactions, ${late} begun before the one before ended; ${seen.length} events`,
  );
  assert.ok(late > restarts, 'transactions overlap');
  assert.equal(wrong, undefined);
  const ids = seen.map(({ id }) => id);
  const written = commits.flatMap(({ events }) => events);
  assert.equal(new Set(ids).size, ids.length, 'none twice');
  assert.deepEqual(ids, written, 'all that were committed, in their order');
  const { rows: devices } = await database.client.query<{ id: string }>('select id from devices order by id');
  assert.deepEqual(
    seen.flatMap((one) => (one.event_type === 'device.created' ? [one.device_id] : [])).toSorted(),
    devices.map(({ id }) => id),
    'a change and its event are committed together',
  );
  for (const { deviceId } of identities) {
    const presence = seen.flatMap(({ device_id, event_type: type }) =>
      device_id === deviceId && ['device.online', 'device.offline'].includes(type) ? [type] : [],
    );
    assert.deepEqual(
      presence,
      presence.map((_, index) => (index % 2 === 0 ? 'device.online' : 'device.offline')),
    );
    assert.equal(presence.at(-1), 'device.offline');
  }
  const types = new Set(seen.map(({ event_type }) => event_type));
  for (const type of [
    'device.created',
    'device.updated',
    'device.online',
    'device.offline',
    'device.registered',
  ])
    assert.ok(types.has(type), type);
});

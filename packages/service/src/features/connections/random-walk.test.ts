// SPDX-License-Identifier: Apache-2.0
import { test } from 'node:test';
import { seeded } from '../../testing/seeded.ts';
import { TestService } from '../../testing/service.ts';
import { type Action, Walker, type World } from '../../testing/walk.ts';
import { WalkChannel } from '../../testing/walk-channel.ts';
import { storms, WalkWeather } from '../../testing/walk-weather.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const housekeepingMs = 15_000;

/** Another walk: MBL_TEST_SEED=<number>. */
test('an hour of whatever devices, owners, thieves and the database do: the service shows what a plain model says', {
  timeout: 600_000,
}, async (t) => {
  const seed = Number(process.env['MBL_TEST_SEED'] ?? 1);
  const random = seeded(seed);
  const pick = <T>(among: readonly T[]): T => among[Math.floor(random() * among.length)] as T;
  // At the start of a minute: the same refusal is told once in each.
  const begun = Math.floor(Date.now() / minuteMs) * minuteMs;
  let passed = 0;
  const now = () => begun + passed;
  t.mock.timers.enable({ apis: ['setInterval'] });
  await using weather = await WalkWeather.open();
  await using service = await TestService.start({
    now,
    databaseUrl: weather.url,
    // A busy machine is no reason to take a clone for the device.
    keepAlive: { intervalMs: 10 * minuteMs, timeoutMs: minuteMs },
  });
  await weather.prepare();
  const channel = await WalkChannel.open(service);
  const world: World = { service, channel, weather, now };
  const walkers: Walker[] = [];
  for (const name of ['a', 'b', 'c', 'd']) walkers.push(await Walker.enrol(world, name));

  const trail: string[] = [];
  const latest = () => trail.slice(-6).join(' | ');
  const step = async () => {
    const storm = random() < 0.15 ? pick(storms) : undefined;
    const lastsMs = Math.floor(random() * 150);
    const chosen = walkers
      .filter(() => random() < 0.4)
      .map((walker) => ({ walker, among: storm === undefined ? walker.actions() : walker.hardy() }))
      .filter(({ among }) => among.length > 0)
      .map(({ walker, among }) => ({ walker, action: pick<Action>(among) }));
    const names = chosen.map(({ walker, action: [name] }) => `${walker.model.name} ${name}`).join(', ');
    trail.push(storm === undefined ? names : `[the database ${storm}] ${names}`);
    await Promise.all([
      storm === undefined ? undefined : weather.storm(storm, lastsMs),
      ...chosen.map(({ action: [, act] }) => act()),
    ]);
    for (const { walker } of chosen) await walker.check(latest);
    weather.calm();
  };
  const restart = async () => {
    trail.push('[restart]');
    await service.restart();
    for (const { model } of walkers) model.restarts(now());
    // Opens it: what is published before is nobody's.
    await channel.catchUp();
  };
  const pause = async () => {
    const pauseMs = housekeepingMs * (1 + Math.floor(random() * 4));
    passed += pauseMs;
    const ended = walkers.filter(({ model }) => model.timePasses(now()));
    t.mock.timers.tick(pauseMs);
    // Again where a storm had left the housekeeping a broken connection.
    for (const walker of ended) await walker.check(latest, () => t.mock.timers.tick(housekeepingMs));
    await channel.catchUp();
  };
  try {
    for (const over = now() + hourMs; now() < over; ) {
      if (random() < 0.03) await restart();
      await step();
      await pause();
    }
    for (const walker of walkers) await walker.check(() => `the end: ${latest()}`);
  } catch (error) {
    t.diagnostic(`MBL_TEST_SEED=${seed} failed after ${trail.length} steps`);
    throw error;
  } finally {
    for (const walker of walkers) await walker.leave();
  }
  t.diagnostic(`MBL_TEST_SEED=${seed}: ${trail.length} steps`);
});

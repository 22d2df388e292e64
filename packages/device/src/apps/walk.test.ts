// SPDX-License-Identifier: Apache-2.0
//
// A random walk of orders, removals, rollbacks and power cuts, beside a model that knows only what an owner expects.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppBoard, type AppPlan, paths } from './testing/app-board.ts';
import { PowerCut } from './testing/fake-device.ts';
import { unitOf } from './places.ts';

interface Known {
  readonly apps: Readonly<Record<string, AppPlan>>;
  readonly index?: number;
  /** What becomes of it when it is ordered. */
  readonly fate: 'runs' | 'falls back' | 'refused' | 'waits' | 'needs 2.0';
}

const permissions = { network: 'outbound', ports: [], devices: [], bus: { talk: [], own: [] } } as const;

const known: Readonly<Record<string, Readonly<Record<string, Known>>>> = {
  weather: {
    1: { apps: { sensor: {} }, fate: 'runs' },
    2: { apps: { sensor: {}, display: {} }, fate: 'runs' },
    3: { apps: { sensor: { behaviour: 'broken' }, display: {} }, fate: 'falls back' },
    4: { apps: { sensor: {}, display: { behaviour: 'sick' } }, fate: 'falls back' },
    5: { apps: { sensor: { content: 'sensor weather/2' }, logger: {} }, index: 2, fate: 'runs' },
    6: { apps: { sensor: { change: { after: ['nobody'] } } }, fate: 'waits' },
  },
  radio: {
    1: { apps: { tuner: {} }, fate: 'runs' },
    2: { apps: { tuner: {}, display: {} }, fate: 'runs' },
    3: { apps: { tuner: { change: { os: '2.0' } } }, fate: 'needs 2.0' },
    4: { apps: { tuner: { change: { permissions } } }, fate: 'refused' },
    5: { apps: { tuner: { behaviour: 'crashes' } }, fate: 'falls back' },
  },
};

interface Team {
  current: string;
  previous: string;
  fellBack?: string;
}

/** What an owner expects; `order` of a team is another text each time. */
class Model {
  readonly wanted = new Map<string, string>();
  readonly orders = new Map<string, { release: string; id: string }>();
  readonly teams = new Map<string, Team>();
  readonly accepted = new Map<string, number>();
  readonly stopped = new Set<string>();
  /** The version of the operating system, and whether it has still to prove good. */
  os = '1.0';
  onTrial = false;

  static of(team: string, release: string): Known {
    const found = known[team]?.[release];
    assert.ok(found !== undefined);
    return found;
  }

  names(team: string, release: string): string[] {
    return release === '' ? [] : Object.keys(Model.of(team, release).apps);
  }

  rollBack(team: string): void {
    if (this.onTrial) return;
    const found = this.teams.get(team);
    if (found === undefined || found.previous === '') return;
    const { index = 0, fate } = Model.of(team, found.previous);
    if (index < (this.accepted.get(team) ?? 0) || (fate === 'needs 2.0' && this.os !== '2.0')) return;
    const { current, previous } = found;
    this.teams.set(team, {
      current: previous,
      previous: current,
      fellBack: `${this.orders.get(team)?.release} ${this.orders.get(team)?.id}`,
    });
  }

  settle(): void {
    if (this.onTrial) return;
    for (const team of this.teams.keys())
      if (!this.wanted.has(team)) {
        this.teams.delete(team);
        this.orders.delete(team);
      }
    this.#forget();
    for (let again = true; again; this.#forget())
      again = [...this.wanted].some(([team, release]) => this.#switch(team, release));
  }

  /** An order to stop ends with the app that it was for. */
  #forget(): void {
    const left = new Set(
      [...this.teams].flatMap(([team, { current, previous }]) =>
        [current, previous].flatMap((one) => this.names(team, one)),
      ),
    );
    for (const app of this.stopped) if (!left.has(app)) this.stopped.delete(app);
  }

  /** True when something changed. */
  #switch(team: string, release: string): boolean {
    const now = this.teams.get(team) ?? { current: '', previous: '' };
    const order = this.orders.get(team);
    if (now.current === release || order?.release !== release || now.fellBack === `${release} ${order.id}`)
      return false;
    const { fate, index = 0, apps } = Model.of(team, release);
    const waits = fate === 'waits' || (fate === 'needs 2.0' && this.os !== '2.0');
    if (index < (this.accepted.get(team) ?? 0) || waits || fate === 'refused') return false;
    const others = [...this.teams].flatMap(([other, { current, previous }]) =>
      other === team ? [] : [current, previous].flatMap((one) => this.names(other, one)),
    );
    if (Object.keys(apps).some((app) => others.includes(app))) return false;
    const stoppedSick = Object.entries(apps).every(
      ([app, { behaviour = 'good' }]) => behaviour === 'good' || this.stopped.has(app),
    );
    if (fate === 'runs' || fate === 'needs 2.0' || stoppedSick) {
      const revoked = now.current !== '' && (Model.of(team, now.current).index ?? 0) < index;
      this.teams.set(team, { current: release, previous: revoked ? '' : now.current });
      this.accepted.set(team, Math.max(index, this.accepted.get(team) ?? 0));
    } else this.teams.set(team, { ...now, fellBack: `${release} ${order.id}` });
    return true;
  }

  /** Those that run: one that cannot be started was taken while it was stopped, and did not start since. */
  get apps(): string[] {
    const found: string[] = [];
    for (const [team, { current }] of this.teams)
      for (const app of this.names(team, current)) {
        const { apps, fate } = Model.of(team, current);
        const cannot = apps[app]?.behaviour === 'broken' || (fate === 'needs 2.0' && this.os !== '2.0');
        if (!cannot && !this.stopped.has(app)) found.push(`${app} ${team}/${current}`);
      }
    return found.toSorted();
  }
}

type Move =
  | { readonly do: 'order'; readonly team: string; readonly release: string; readonly cut: number }
  | { readonly do: 'want'; readonly team: string; readonly release: string }
  | { readonly do: 'remove'; readonly team: string; readonly cut: number }
  | { readonly do: 'rollback'; readonly team: string }
  | { readonly do: 'stop' | 'start'; readonly app: string }
  | { readonly do: 'reboot' }
  /** A version of the operating system comes; then it proves good, or the one before it is back. */
  | { readonly do: 'trial'; readonly os: '1.0' | '2.0' }
  | { readonly do: 'verdict'; readonly good: boolean };

const team = fc.constantFrom('weather', 'radio');
const release = fc.constantFrom('1', '2', '3', '4', '5', '6');
const app = fc.constantFrom('sensor', 'display', 'tuner', 'logger');
/** After so many effects the power goes; mostly after more than there are. */
const cut = fc.oneof(fc.constant(100_000), fc.nat({ max: 90 }));
const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('order' as const), team, release, cut }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('want' as const), team, release }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), team, cut }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rollback' as const), team }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('stop' as const, 'start' as const), app }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reboot' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('trial' as const), os: fc.constantFrom('1.0', '2.0') }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('verdict' as const), good: fc.boolean() }) },
);

async function walk(moves: readonly Move[]): Promise<void> {
  const board = new AppBoard();
  const { device } = board;
  const model = new Model();
  for (const [name, releases] of Object.entries(known))
    for (const [one, { apps, index = 0 }] of Object.entries(releases)) board.release(name, one, apps, index);
  const tokens = new Map<string, string>();
  let before = model.os;
  const restart = () => (model.onTrial ? board.startTrial(model.os) : board.goBack(model.os));
  for (const [i, one] of moves.entries()) {
    if ('release' in one && known[one.team]?.[one.release] === undefined) continue;
    switch (one.do) {
      case 'order':
        model.wanted.set(one.team, one.release);
        model.orders.set(one.team, { release: one.release, id: String(i) });
        board.bring(one.team, one.release);
        break;
      case 'want':
        model.wanted.set(one.team, one.release);
        break;
      case 'remove':
        model.wanted.delete(one.team);
        break;
      case 'rollback':
        model.rollBack(one.team);
        device.put(paths.rollback(one.team), '0123456789abcdef');
        break;
      case 'stop':
        if (!device.files.has(paths.volumesOf(one.app))) continue;
        model.stopped.add(one.app);
        device.put(paths.stoppedApp(one.app), '');
        device.running.delete(unitOf(one.app));
        break;
      case 'start':
        if (!model.stopped.delete(one.app)) continue;
        device.files.delete(paths.stoppedApp(one.app));
        if (device.files.has(paths.unit(unitOf(one.app)))) await device.start([unitOf(one.app)]);
        break;
      case 'reboot':
        restart();
        break;
      case 'trial':
        if (model.onTrial) continue;
        before = model.os;
        model.os = one.os;
        model.onTrial = true;
        restart();
        break;
      case 'verdict':
        if (!model.onTrial) continue;
        model.onTrial = false;
        if (one.good) {
          board.prove();
          // `mbl-platformd` settles it.
          device.files.delete(paths.trialOfSystem);
        } else {
          model.os = before;
          restart();
        }
    }
    board.want(Object.fromEntries(model.wanted));
    if ('cut' in one) {
      device.cutAt = device.effects + one.cut;
      await board.run().catch((error: unknown) => {
        if (!(error instanceof PowerCut)) throw error;
        restart();
      });
      device.cutAt = Number.POSITIVE_INFINITY;
    }
    await board.run();
    model.settle();
    const at = `after ${JSON.stringify(moves.slice(0, i + 1))}`;
    assert.deepEqual(device.apps, model.apps, at);
    const have = [...model.teams].flatMap(([name, { current, previous }]) =>
      [current, previous].flatMap((each) => model.names(name, each)),
    );
    assert.deepEqual(await device.list(paths.volumes), [...new Set(have)].toSorted(), at);
    const images = new Set(
      [...model.teams].flatMap(([name, { current, previous }]) =>
        [current, previous].flatMap((each) =>
          (board.signed.get(`${name}/${each}`)?.apps ?? []).map(({ image }) => `${image.fsVerity}.erofs`),
        ),
      ),
    );
    assert.deepEqual(await device.list(paths.images), [...images].toSorted(), at);
    const owned = [...model.teams].flatMap(([name, { current, previous }]) =>
      [current, previous].flatMap((each) => model.names(name, each).map((app) => [name, app] as const)),
    );
    // What an app has kept is there as long as its team could run it.
    for (const [name, app] of owned) {
      const file = `${paths.volume(app, 'state')}/data`;
      if (tokens.get(app) === name) assert.equal(await device.read(file), name, `${app} ${at}`);
      device.put(file, name);
    }
    tokens.clear();
    for (const [name, app] of owned) tokens.set(app, name);
    assert.equal(device.files.has(paths.journal), false, at);
  }
}

test('whatever is ordered, and whenever the power goes, what runs is what an owner expects', async () => {
  await fc.assert(fc.asyncProperty(fc.array(move, { minLength: 3, maxLength: 14 }), walk), {
    numRuns: Number(process.env['MBL_APP_WALKS'] ?? 60),
    ...seedOf(),
    includeErrorInReport: true,
  });
});

function seedOf(): { seed?: number } {
  const seed = process.env['MBL_TEST_SEED'];
  return seed === undefined ? {} : { seed: Number(seed) };
}

// SPDX-License-Identifier: Apache-2.0
//
// Changes of a team's apps on a board whose writes are recorded, and all that a power cut in them may have left, judged.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRefusal, judgeApps, type JudgedRelease, parseSignedApps, readPolicy } from '@mbl/device';
import { type Board, type CrashState, type CrashStates, positionAt, type WriteLog } from '@mbl/lab';
import { copyOf } from '../crashed-partition.ts';
import { root } from '../mbl.ts';
import { partitionOf } from '../update-states.ts';
import {
  type AppVerdict,
  type Deed,
  judgeCrashedApps,
  type KeptFile,
  type RecordedApps,
} from './app-verdict.ts';
import type { Damage } from './careless-apps.ts';
import { readCrashedData } from './crashed-data.ts';
import type { Behaviour } from './crashed-device.ts';
import { put, type Team } from './team.ts';

interface Moments {
  readonly runs: string;
  readonly issued: Date;
  readonly ordered: Date;
  readonly done: Date;
}

/** Takes down when what was done, while a board records its writes. */
export class AppDeeds {
  readonly #board: Board;
  readonly #team: Team;
  readonly #deeds: Moments[] = [];
  readonly #kept: (Omit<KeptFile, 'since'> & { readonly since: Date })[] = [];
  readonly #orders = new Set<string>();

  constructor(board: Board, team: Team) {
    this.#board = board;
    this.#team = team;
  }

  /** `order` returns when all of the order is on the disk, `done` when the board says that `runs` runs now. */
  async do(runs: string, order: () => Promise<void>, done: () => Promise<void>): Promise<void> {
    const issued = new Date();
    await order();
    const ordered = new Date();
    await done();
    this.#deeds.push({ runs, issued, ordered, done: new Date() });
  }

  /** A release is brought, as who fetches and `mbl-platformd` do it. */
  async bring(release: string, runs: string, done: () => Promise<void>): Promise<void> {
    this.#orders.add(release);
    await this.do(runs, async () => await this.#team.bring(this.#board, release), done);
  }

  /** Somebody's word, which is on no disk before it is done. */
  async ask(runs: string, ask: () => Promise<void>, done: () => Promise<void>): Promise<void> {
    await this.do(
      runs,
      async () => (await ask(), await done()),
      async () => {},
    );
  }

  /** An app writes a file, and waits for the disk. */
  async keep(app: string, volume: string, name: string, text: string): Promise<void> {
    const path = `/data/apps/volumes/${app}/${volume}/${name}`;
    await put(this.#board, path, text);
    this.#kept.push({ app, volume, name, text, since: new Date() });
  }

  /** By the signed root of the images, as the board judges. */
  async recorded(log: WriteLog, behaviour: Behaviour): Promise<RecordedApps> {
    const at = (moment: Date) => positionAt(log, moment);
    const ground = await groundOf(this.#board.image.components.root.version);
    const releases = new Map<string, JudgedRelease>();
    for (const name of this.#orders) {
      const judged = await ground.judge(parseSignedApps(await this.#team.order(name), name), 0, ground.now());
      if (isRefusal(judged)) throw new Error(`${name}: ${judged.detail}`);
      releases.set(name, judged);
    }
    const deeds = this.#deeds.map(
      ({ runs, issued, ordered, done }): Deed => ({
        runs,
        issued: at(issued),
        ordered: at(ordered),
        done: at(done),
      }),
    );
    const kept = this.#kept.map((one) => ({ ...one, since: at(one.since) }));
    return { team: this.#team.name, deeds, kept, releases, behaviour, ground };
  }
}

/** What the image says, as the board judges by it. What was judged once is not judged again. */
export async function groundOf(os: string): Promise<RecordedApps['ground']> {
  const now = new Date();
  const path = join(root, 'os/rootfs/development/etc/mbl/policy.d/50-development.yaml');
  const born = await readFile(join(root, '.mbl/keys/release-root.json'));
  const known = new Map<string, ReturnType<typeof judgeApps>>();
  return {
    policy: readPolicy([{ path, bytes: await readFile(path) }]),
    unconfined: undefined,
    os,
    now: () => now,
    async judge(signed, rollbackIndex, time) {
      const key = JSON.stringify([signed, rollbackIndex, time === undefined]);
      const options = { root: born, keys: 'development', rollbackIndex, ...(time && { now: time }) } as const;
      const found = known.get(key) ?? judgeApps(signed, options);
      known.set(key, found);
      return await found;
    },
  };
}

export interface AppCrashes {
  readonly states: number;
  /** Of how many, and how many of what was found of apps are not the same. */
  readonly judged: number;
  readonly different: number;
  readonly ends: Readonly<Record<string, number>>;
  readonly bad: readonly string[];
}

export interface AppCrashOptions {
  /** So many states, drawn evenly; default: all. */
  readonly most?: number;
  /** Folders: for copies of the partition, and for the files in it. */
  readonly images: string;
  readonly files: string;
  /** Only states of which this makes something are judged. */
  readonly damage?: Damage;
}

/** What a power cut may have left of the data partition in these deeds. */
export async function appCrashStates(
  board: Board,
  deeds: readonly Deed[],
  log?: WriteLog,
): Promise<CrashStates> {
  return await board.crashStates({
    extent: partitionOf(board, 'data'),
    since: deeds[0]?.issued ?? 0,
    before: deeds.at(-1)?.done ?? 0,
    ...(log && { log }),
  });
}

export async function judgeAppCrashes(
  states: CrashStates,
  recorded: RecordedApps,
  { most = Infinity, images, files, damage }: AppCrashOptions,
): Promise<AppCrashes> {
  const step = Math.max(1, states.states.length / most);
  const known = new Map<string, AppVerdict>();
  const ends: Record<string, number> = {};
  const bad: string[] = [];
  let judged = 0;
  await using copy = await states.open(join(images, 'apps.img'));
  for (let at = 0; at < states.states.length; at += step) {
    const state = states.states[Math.floor(at)];
    if (state === undefined) break;
    await copy.show(state);
    const data = await readCrashedData(await copyOf(copy.path), join(files, 'found'));
    const key = `${data.outcome} ${data.key} ${expectation(state, recorded)}`;
    if (damage !== undefined && (known.has(key) || !(await damage(data, recorded)))) continue;
    judged += 1;
    const verdict = known.get(key) ?? (await judgeCrashedApps(data, state.until, recorded));
    known.set(key, verdict);
    ends[verdict.end] = (ends[verdict.end] ?? 0) + 1;
    for (const why of verdict.bad) bad.push(`${why}: ${state.describe()}`);
  }
  return { states: states.states.length, judged, different: known.size, ends, bad };
}

/** The same for cuts after which the same is asked. */
function expectation({ until }: CrashState, { deeds, kept }: RecordedApps): string {
  const moments = [
    ...deeds.flatMap(({ issued, ordered, done }) => [issued, ordered, done]),
    ...kept.map((one) => one.since),
  ];
  return moments.map((moment) => (moment < until ? 1 : 0)).join('');
}

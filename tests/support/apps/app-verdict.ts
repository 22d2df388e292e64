// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a team's apps on a board that starts from a crash state of its data partition: the device's own code decides, over the files
// that are there. docs/decisions/0034
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AppManager,
  type AppManagerOptions,
  healthUnitOf,
  type JudgedRelease,
  parseAccepted,
  parseChange,
  parseTeamState,
  pathsOf,
  unitOf,
} from '@mbl/device';
import { copyCrashedData, type CrashedData } from './crashed-data.ts';
import {
  type Behaviour,
  type PlayedUnit,
  sealsOf,
  type Seals,
  startCrashedDevice,
  placesBelow,
} from './crashed-device.ts';

/** A change that a recorded board made. Positions count the records of its write log. */
export interface Deed {
  /** The release that runs when it is done; '' for none. */
  readonly runs: string;
  /** Nothing of it before, all of its order on the disk from then on, and when the board said that it is done. */
  readonly issued: number;
  readonly ordered: number;
  readonly done: number;
}

/** What an app wrote, and from when on it was said to be on the disk. */
export interface KeptFile {
  readonly app: string;
  readonly volume: string;
  readonly name: string;
  readonly text: string;
  readonly since: number;
}

export interface RecordedApps {
  readonly team: string;
  /** Each done before the next is issued. */
  readonly deeds: readonly Deed[];
  readonly kept: readonly KeptFile[];
  readonly releases: ReadonlyMap<string, JudgedRelease>;
  readonly behaviour: Behaviour;
  readonly ground: AppManagerOptions['ground'];
}

/** What a cut that may come as late as `until` has to leave: one of these releases. The last is that of the deed under way. */
export function releasesAfter(until: number, { deeds }: RecordedApps): readonly string[] {
  const last = deeds.findLastIndex(({ ordered }) => ordered < until);
  const next = deeds[last + 1];
  const before = deeds[last]?.runs ?? '';
  return next !== undefined && next.issued < until ? [before, next.runs] : [before];
}

/** Where a board ended, for people, and what is wrong with it. */
export interface AppVerdict {
  readonly end: string;
  readonly bad: readonly string[];
}

/** Starts a board from a crash state twice, and once more where the release on trial does not prove good. Uses up the files of `data`. */
export async function judgeCrashedApps(
  data: CrashedData,
  until: number,
  recorded: RecordedApps,
): Promise<AppVerdict> {
  const { team, deeds, kept, releases } = recorded;
  const bad: string[] = [];
  if (data.outcome !== 'whole') bad.push(`the file system is ${data.outcome}`);
  const paths = pathsOf(placesBelow(data.folder));
  const text = async (path: string) => await readFile(path, 'utf8').catch(() => '');
  const change = parseChange(await text(paths.journal));
  const confirmed =
    change?.phase === 'commit'
      ? change.to
      : (parseTeamState(await text(paths.teamState(team)))?.current ?? '');
  // As the cut left it: a release that is accepted once more would hide that it was forgotten.
  const index = parseAccepted(await text(paths.acceptedBy(team)));
  const pessimistic = await copyCrashedData(data, `${data.folder}-worse`);

  const boards = new Board(data, recorded);
  const first = await boards.start(recorded.behaviour);
  bad.push(...first.faults);
  const allowed = releasesAfter(until, recorded);
  if (!allowed.includes(first.release))
    bad.push(`${first.release || 'nothing'} runs, and not ${allowed.join(' or ')}`);
  bad.push(...(await leftovers(data, recorded)));
  const accepted = deeds
    .filter(({ done }) => done < until)
    .map(({ runs }) => releases.get(runs)?.rollbackIndex ?? 0);
  if (index < Math.max(0, ...accepted)) bad.push(`the accepted index is ${index}`);
  for (const { app, volume, name, text: wanted, since } of kept) {
    if (since >= until) continue;
    const path = join(paths.volume(app, volume), name);
    const found = await text(path);
    if (found !== wanted) bad.push(`${name} of ${app} is "${found}"`);
    bad.push(...owner(data, await text(paths.slots), app, volume));
  }
  const before = await lasting(data.folder);
  const second = await boards.start(recorded.behaviour);
  bad.push(...second.faults);
  if (second.release !== first.release) bad.push(`${second.release || 'nothing'} runs after another start`);
  if ((await lasting(data.folder)) !== before) bad.push('another start changes something');

  // As long as the new one has not proved good, the one before it is there in whole.
  const worse = await new Board(pessimistic, recorded).start(({ release }) =>
    release === confirmed ? 'good' : 'ends',
  );
  bad.push(...worse.faults.map((fault) => `without the new one: ${fault}`));
  if (worse.release !== confirmed)
    bad.push(`without the new one ${worse.release || 'nothing'} runs, and not ${confirmed}`);
  return { end: `${first.release || 'nothing'} after ${change?.phase ?? 'no change'}`, bad };
}

class Board {
  readonly #data: CrashedData;
  readonly #recorded: RecordedApps;
  readonly #seals: Seals;

  constructor(data: CrashedData, recorded: RecordedApps) {
    this.#data = data;
    this.#recorded = recorded;
    this.#seals = sealsOf(data);
  }

  /** Which release of the team runs as a whole; '' for nothing. */
  async start(behaviour: Behaviour): Promise<{ release: string; faults: readonly string[] }> {
    const { team, releases, ground } = this.#recorded;
    const run = `${this.#data.folder}-run`;
    await rm(run, { recursive: true, force: true });
    const device = startCrashedDevice(this.#data, run, behaviour, this.#seals);
    for (const folder of [device.places.run, device.places.units, device.places.requests])
      await mkdir(folder, { recursive: true });
    // The storage unit makes those at each start.
    for (const folder of ['', 'incoming', 'orders'])
      await mkdir(join(device.places.data, folder), { recursive: true });
    const faults: string[] = [];
    await new AppManager({
      ...{ effects: device.effects, paths: pathsOf(device.places), group: 0, callersGroup: 0, ground },
      async write(app, owner) {
        const unit: PlayedUnit = {
          app: app.name,
          team: owner,
          release: app.release,
          image: app.image.fsVerity,
        };
        const names = [unitOf(app.name), ...(app.health === undefined ? [] : [healthUnitOf(app.name)])];
        return await Promise.resolve({
          bundle: new Map([['config.json', '{}\n']]),
          units: new Map(names.map((name) => [name, JSON.stringify(unit)])),
        });
      },
    })
      .run()
      .catch((error: unknown) => faults.push(`mbl-apps: ${String(error)}`));
    const running = [...device.running.values()].filter((unit) => behaviour(unit) !== 'ends');
    const release = running[0]?.release ?? '';
    const wanted = releases.get(release)?.apps ?? [];
    const names = (apps: readonly string[]) => apps.toSorted().join(', ');
    const found = names(running.map((unit) => `${unit.app} ${unit.release} ${unit.image}`));
    const whole = names(wanted.map(({ name, image }) => `${name} ${release} ${image.fsVerity}`));
    if (found !== whole) faults.push(`a part of a release of ${team}: ${found}`);
    return { release, faults: [...device.faults, ...faults] };
  }
}

/** What nobody needs any more is gone, and what is needed there. */
async function leftovers({ folder }: CrashedData, { team, releases }: RecordedApps): Promise<string[]> {
  const paths = pathsOf(placesBelow(folder));
  const state = parseTeamState(await readFile(paths.teamState(team), 'utf8').catch(() => ''));
  const names = [state?.current, state?.previous].filter((name) => name !== undefined && name !== '');
  const images = names.flatMap(
    (name) => releases.get(name ?? '')?.apps.map(({ image }) => image.fsVerity) ?? [],
  );
  const wanted = new Set([
    ...['', '/accepted', '/images', '/stopped', '/teams', '/slots.json', `/accepted/${team}.json`],
    ...[`/teams/${team}`, `/teams/${team}/releases`, `/teams/${team}/state.json`],
    ...names.map((name) => `/teams/${team}/releases/${name}.json`),
    ...images.map((image) => `/images/${image}.erofs`),
  ]);
  const found = (await readdir(paths.installed, { recursive: true })).map((path) => `/${path}`);
  const lacking = [
    ...names.map((name) => `/teams/${team}/releases/${name}.json`),
    ...images.map((one) => `/images/${one}.erofs`),
  ];
  return [
    ...found.filter((path) => !wanted.has(path)).map((path) => `left over: ${path}`),
    ...lacking.filter((path) => !found.includes(path)).map((path) => `missing: ${path}`),
  ];
}

/** A volume belongs to the number of its app, and is counted for it, as the cut left it. */
function owner({ entries }: CrashedData, slots: string, app: string, volume: string): string[] {
  const found = entries.get(`volumes/${app}/${volume}`);
  const { apps } = JSON.parse(slots || '{"apps":{}}') as { apps: Record<string, { slot: number }> };
  const slot = apps[app]?.slot ?? -1;
  const right = found?.uid === 200_000 + slot && found.gid === found.uid && found.project === 1000 + slot;
  return right ? [] : [`the volume of ${app} is ${found?.uid}'s, project ${found?.project}, slot ${slot}`];
}

/** All that lasts; what is written once more with the same bytes is another one. */
async function lasting(folder: string): Promise<string> {
  const top = join(folder, 'apps');
  const digest = createHash('sha256');
  for (const path of (await readdir(top, { recursive: true })).toSorted()) {
    const entry = await lstat(join(top, path));
    digest.update(`${path} ${entry.isFile() ? `${entry.ino} ${entry.mtimeMs} ${entry.size}` : ''}\n`);
  }
  return digest.digest('hex');
}

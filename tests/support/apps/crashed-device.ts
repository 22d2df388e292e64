// SPDX-License-Identifier: Apache-2.0
//
// A board that starts from what a power cut left. Files are files, handled by the device's own code; what needs a board is played: systemd and
// the containers, fs-verity (what the inodes say, then the digest of what is sealed anew), quotas, the owners of files.
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FsVerityHasher } from '@mbl/blocks';
import { type AppEffects, type AppPlaces, deviceEffects, type UnitState } from '@mbl/device';
import type { CrashedData } from './crashed-data.ts';

/** What a unit of the played systemd runs: the text of its file. */
export interface PlayedUnit {
  readonly app: string;
  readonly team: string;
  readonly release: string;
  readonly image: string;
}

/** How the apps of a release do: `sick`: the health command fails. */
export type Behaviour = (unit: PlayedUnit) => 'good' | 'ends' | 'sick';

export interface CrashedDevice {
  readonly effects: AppEffects;
  readonly places: AppPlaces;
  /** Apps that run. */
  readonly running: ReadonlyMap<string, PlayedUnit>;
  /** Images were started that are not what was measured, or a release beside another one of its team. */
  readonly faults: readonly string[];
}

const { getuid, getgid } = process;
const mine = { uid: getuid?.() ?? 0, gid: getgid?.() ?? 0 };

/** What of the files is sealed, by their numbers on this host: it stays from one start of a board to the next. */
export type Seals = Map<number, string>;

export function sealsOf({ entries }: CrashedData): Seals {
  const seals: Seals = new Map();
  for (const { hostInode, measured } of entries.values())
    if (measured !== undefined) seals.set(hostInode, measured);
  return seals;
}

/** What lasts is in `folder`, what a start makes in `run`. No operating system is on trial. */
export function placesBelow(folder: string, run = ''): AppPlaces {
  const made = (name: string) => join(run, name);
  return {
    data: join(folder, 'apps'),
    run: made('apps'),
    units: made('units'),
    requests: made('asked'),
    boot: made('boot'),
    update: made('update'),
  };
}

/** A start of the board; `run` is a new folder: what was in memory is gone. */
export function startCrashedDevice(
  { folder, entries }: CrashedData,
  run: string,
  behaviour: Behaviour,
  seals: Seals,
): CrashedDevice {
  const places = placesBelow(folder, run);
  const top = places.data;
  const files = deviceEffects({ native: '/bin/false', data: folder });
  const units = new Map<string, PlayedUnit>();
  const running = new Map<string, PlayedUnit & { readonly since: number }>();
  const faults: string[] = [];
  let now = 0;
  const numberOf = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.ino ?? -1;
  const found = new Map([...entries.values()].map((entry) => [entry.hostInode, entry]));
  const measure = (path: string) => seals.get(numberOf(path));
  const load = (name: string): PlayedUnit | undefined => {
    const path = join(places.units, name);
    const unit = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as PlayedUnit) : undefined;
    if (unit !== undefined) units.set(name, unit);
    return unit;
  };
  const effects: AppEffects = {
    ...files,
    // Taking it out of the file system gave it another number and a rounded time.
    async stamp(path) {
      const entry = found.get(numberOf(path));
      return entry === undefined ? await files.stamp(path) : `${entry.inode} ${entry.size} ${entry.mtimeMs}`;
    },
    write: async (path, text, { mode }) => await files.write(path, text, { mode, ...mine }),
    folder: async (path, { mode }) => await files.folder(path, { mode: mode | 0o700, ...mine }),
    give: async (path, { mode }) => await files.give(path, { mode, ...mine }),
    async seal(path) {
      if (measure(path) !== undefined) throw new Error(`${path} is sealed`);
      seals.set(numberOf(path), digestOf(readFileSync(path)));
      return await Promise.resolve(true);
    },
    async remove(path) {
      // Another file may get its number.
      const number = numberOf(path);
      await files.remove(path);
      seals.delete(number);
      found.delete(number);
    },
    measure: async (path) => await Promise.resolve(measure(path)),
    copy: async (from, to, bytes, { mode }) => await files.copy(from, to, bytes, { mode, ...mine }),
    quota: async () => await Promise.resolve(true),
    free: async () => await Promise.resolve(),
    capacity: async () => await Promise.resolve({ bytes: 1 << 30, files: 1 << 16 }),
    async reload() {
      units.clear();
      for (const name of await files.list(places.units)) load(name);
    },
    async start(names) {
      let fault: string | undefined;
      for (const name of names) {
        // systemd looks for a unit that it has not read yet.
        const unit = units.get(name) ?? load(name);
        if (unit === undefined) return `there is no ${name}`;
        if (name.startsWith('mbl-app-health-')) return behaviour(unit) === 'sick' ? 'it failed' : undefined;
        for (const other of running.values())
          if (other.team === unit.team && other.release !== unit.release)
            faults.push(`${unit.app} ${unit.release} beside ${other.app} ${other.release}`);
        const image = join(top, 'installed/images', `${unit.image}.erofs`);
        if (measure(image) === unit.image) {
          // What the inode says may be more than what is on the disk: a read fails then.
          if (found.get(numberOf(image))?.readable === false)
            faults.push(`${unit.app} ${unit.release} cannot be read`);
          running.set(name, { ...unit, since: now });
        } else fault = `${name} failed`;
      }
      return await Promise.resolve(fault);
    },
    async stop(names) {
      for (const name of names) running.delete(name);
      await Promise.resolve();
    },
    async show(name): Promise<UnitState> {
      const unit = running.get(name);
      const ended = unit !== undefined && behaviour(unit) === 'ends';
      return await Promise.resolve({
        active: unit === undefined ? 'inactive' : ended ? 'failed' : 'active',
        result: unit === undefined || !ended ? 'success' : 'exit-code',
        restarts: ended ? 1 : 0,
        code: ended ? 1 : 0,
        status: ended ? 3 : 0,
        activeFor: unit === undefined ? 0 : now - unit.since,
      });
    },
    async pause(ms) {
      now += ms;
      await Promise.resolve();
    },
    clock: () => now,
    say: () => undefined,
  };
  return { effects, places, running, faults };
}

function digestOf(bytes: Uint8Array): string {
  const hasher = new FsVerityHasher();
  hasher.update(bytes);
  return hasher.finish();
}

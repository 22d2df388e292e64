// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { Effects, FileOptions, UnitState } from '../effects.ts';

/** The power went. */
export class PowerCut extends Error {}

interface Entry {
  readonly kind: 'file' | 'folder';
  text: string;
  options: FileOptions;
  sealed: boolean;
  /** Somebody has it open to write, wherever it goes. */
  held?: boolean;
  /** Changes with each write. */
  stamp: number;
}

interface Running {
  since: number;
  restarts: number;
  active: 'active' | 'failed' | 'inactive';
}

/** How the unit of an app behaves, in the unit's text. */
export interface FakeUnit {
  readonly app: string;
  readonly team: string;
  readonly release: string;
  readonly image: string;
  readonly behaviour: string;
}

export const digestOf = (text: string): string => createHash('sha256').update(`verity ${text}`).digest('hex');

/** A device in memory: files, and a systemd that runs what the units say. Each effect may be the last one before the power goes. */
export class FakeDevice implements Effects {
  readonly files = new Map<string, Entry>();
  readonly quotas = new Map<string, string>();
  readonly said: string[] = [];
  /** Names of units, as systemd has read them. */
  units = new Map<string, FakeUnit>();
  running = new Map<string, Running>();
  /** Effects so far that change something, and the one that the power does not let happen any more. */
  effects = 0;
  cutAt = Number.POSITIVE_INFINITY;
  /** The effect from which on the disk is full, until something is removed from it or, where that does not help, for good. */
  fullAt = Number.POSITIVE_INFINITY;
  fullForGood = false;
  starts = 0;
  reloads = 0;
  bytes = 1 << 30;
  inodes = 1 << 16;
  #clock = 0;
  #stamp = 0;

  /** What is only in memory is gone. */
  reboot(): void {
    for (const path of this.files.keys()) if (path.startsWith('/run/')) this.files.delete(path);
    this.units.clear();
    this.running.clear();
    this.cutAt = Number.POSITIVE_INFINITY;
  }

  put(path: string, text: string): void {
    this.#insert(path, 'file', text, { mode: 0o644 });
  }

  /** Names of apps that run, with the release that they are of. */
  get apps(): string[] {
    return [...this.running]
      .flatMap(([unit, { active }]) => {
        const found = this.units.get(unit);
        return active === 'active' && found !== undefined
          ? [`${found.app} ${found.team}/${found.release}`]
          : [];
      })
      .toSorted();
  }

  #change(): void {
    if (this.effects++ >= this.cutAt) throw new PowerCut();
  }

  /** What wants room on the disk. */
  #grow(path: string): void {
    this.#change();
    if (this.effects > this.fullAt && path.startsWith('/data/'))
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  }

  #insert(path: string, kind: Entry['kind'], text: string, options: FileOptions): void {
    this.files.set(path, { kind, text, options, sealed: false, stamp: ++this.#stamp });
  }

  #file(path: string): Entry | undefined {
    const entry = this.files.get(path);
    return entry?.kind === 'file' ? entry : undefined;
  }

  /** As systemd does for a unit that it has not read. */
  #find(unit: string): FakeUnit | undefined {
    const file = this.#file(`/run/systemd/system/${unit}`);
    const found = file && (JSON.parse(file.text) as FakeUnit);
    if (found !== undefined) this.units.set(unit, found);
    return found;
  }

  read = (path: string): Promise<string | undefined> => Promise.resolve(this.#file(path)?.text);

  stamp = (path: string): Promise<string | undefined> => {
    const entry = this.#file(path);
    return Promise.resolve(entry && `${entry.stamp}`);
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  write = async (path: string, text: string, options: FileOptions): Promise<void> => {
    this.#grow(path);
    const folder = path.slice(0, path.lastIndexOf('/'));
    if (folder !== '/run/systemd/system' && this.files.get(folder)?.kind !== 'folder')
      throw new Error(`no folder ${folder}`);
    if (this.#file(path)?.sealed === true) throw new Error(`${path} is sealed`);
    this.#insert(path, 'file', text, options);
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  folder = async (path: string, options: FileOptions): Promise<void> => {
    if (this.files.get(path)?.kind === 'folder') return this.#change();
    this.#grow(path);
    this.#insert(path, 'folder', '', options);
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  remove = async (path: string): Promise<void> => {
    this.#change();
    for (const one of this.files.keys())
      if (one === path || one.startsWith(`${path}/`)) {
        this.files.delete(one);
        if (one.startsWith('/data/') && !this.fullForGood) this.fullAt = Number.POSITIVE_INFINITY;
      }
    for (const one of this.quotas.keys()) if (one.startsWith(`${path}/`)) this.quotas.delete(one);
  };

  list = (path: string): Promise<readonly string[]> => {
    const names = [...this.files.keys()].flatMap((one) => {
      const rest = one.startsWith(`${path}/`) ? one.slice(path.length + 1) : '/';
      return rest.includes('/') ? [] : [rest];
    });
    return Promise.resolve(names.toSorted());
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  move = async (from: string, to: string): Promise<void> => {
    this.#change();
    const entry = this.files.get(from);
    if (entry === undefined) throw new Error(`no ${from}`);
    this.files.delete(from);
    this.files.set(to, entry);
  };

  size = (path: string): Promise<number | undefined> => Promise.resolve(this.#file(path)?.text.length);

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  give = async (path: string, options: FileOptions): Promise<void> => {
    this.#change();
    const entry = this.#file(path);
    if (entry !== undefined) entry.options = options;
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  seal = async (path: string): Promise<boolean> => {
    this.#grow(path);
    const entry = this.#file(path);
    if (entry === undefined || entry.sealed) throw new Error(`${path} cannot be sealed`);
    entry.sealed = entry.held !== true;
    return entry.sealed;
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  copy = async (from: string, to: string, bytes: number, options: FileOptions): Promise<void> => {
    this.#grow(to);
    this.#insert(to, 'file', this.#file(from)?.text.slice(0, bytes) ?? '', options);
  };

  free = (): Promise<void> => Promise.resolve(this.#change());

  measure = (path: string): Promise<string | undefined> => {
    const entry = this.#file(path);
    return Promise.resolve(entry?.sealed === true ? digestOf(entry.text) : undefined);
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  quota = async (folder: string, project: number, bytes: number, files: number): Promise<boolean> => {
    this.#change();
    this.quotas.set(folder, `${project} ${bytes} ${files}`);
    return true;
  };

  capacity = (): Promise<{ bytes: number; files: number }> =>
    Promise.resolve({ bytes: this.bytes, files: this.inodes });

  device = (): Promise<undefined> => Promise.resolve(undefined);

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  reload = async (): Promise<void> => {
    this.#change();
    this.reloads++;
    this.units = new Map(
      [...this.files].flatMap(([path, { text }]) => {
        const name = /^\/run\/systemd\/system\/(.+)$/.exec(path)?.[1];
        return name === undefined ? [] : [[name, JSON.parse(text) as FakeUnit] as const];
      }),
    );
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  start = async (units: readonly string[]): Promise<string | undefined> => {
    let fault: string | undefined;
    for (const unit of units) {
      this.#change();
      const found = this.units.get(unit) ?? this.#find(unit);
      if (found === undefined) return `there is no ${unit}`;
      if (unit.includes('-health-')) {
        if (found.behaviour !== 'sick') return undefined;
        // As app-health.sh does: the app starts anew, and has to become healthy from the beginning.
        const app = this.running.get(`mbl-app-${found.app}.service`);
        if (app !== undefined && !this.files.has(`/run/mbl/apps/${found.app}/trial`)) app.since = this.#clock;
        return 'it failed';
      }
      const mounted = await this.measure(`/data/apps/installed/images/${found.image}.erofs`);
      // A release of a team never runs beside another one of it.
      for (const [other] of this.running) {
        const beside = this.units.get(other);
        if (beside !== undefined && beside.team === found.team && beside.release !== found.release)
          throw new Error(`${found.team}: ${found.release} beside ${beside.release}`);
      }
      this.starts++;
      const broken = found.behaviour === 'broken' || mounted !== found.image;
      const restarts = found.behaviour === 'crashes' ? 1 : 0;
      this.running.set(unit, { since: this.#clock, restarts, active: broken ? 'failed' : 'active' });
      if (broken) fault = `${unit} failed`;
    }
    return fault;
  };

  // oxlint-disable-next-line require-await -- asynchronous by its type.
  stop = async (units: readonly string[]): Promise<void> => {
    for (const unit of units) {
      this.#change();
      this.running.delete(unit);
    }
  };

  show = (unit: string): Promise<UnitState> => {
    const found = this.running.get(unit);
    return Promise.resolve({
      active: found?.active ?? 'inactive',
      result: found?.active === 'failed' ? 'exit-code' : 'success',
      restarts: found?.restarts ?? 0,
      code: (found?.restarts ?? 0) > 0 ? 1 : 0,
      status: 0,
      activeFor: found === undefined ? 0 : this.#clock - found.since,
    });
  };

  pause = (ms: number): Promise<void> => {
    this.#clock += ms;
    return Promise.resolve();
  };

  clock = (): number => this.#clock;

  say = (line: string): void => void this.said.push(line);
}

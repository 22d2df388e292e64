// SPDX-License-Identifier: Apache-2.0
import { type AppDescription, type AppImage, maxAppOrder, maxDesiredApps } from '@mbl/formats';
import { isErrno } from '../common/files.ts';
import { incomingBudget, incomingProject } from '../common/incoming-budget.ts';
import type { BundleFiles } from './bundle.ts';
import { type Effects, Unfit } from './effects.ts';
import { becomeHealthy, endOf } from './healthy.ts';
import type { JudgedRelease } from './judge.ts';
import { idsOf, projectOf } from './owner.ts';
import { type AppPaths, healthTimerOf, healthUnitOf, unitOf } from './places.ts';
import type { Step, View } from './plan.ts';
import { sealImage } from './seal-image.ts';
import {
  type Change,
  freeSlot,
  formatSlots,
  parseAccepted,
  parseDesired,
  parseSlots,
  type Slots,
} from './state.ts';
import { removeDrafts, sweep } from './sweep.ts';

/** What an app is written as: its bundle and its units, by their names. */
export interface WrittenApp {
  readonly bundle: BundleFiles;
  readonly units: ReadonlyMap<string, string>;
}

export interface ExecutorOptions {
  readonly effects: Effects;
  readonly paths: AppPaths;
  readonly write: (app: AppDescription, team: string, slot: number) => Promise<WrittenApp>;
  /** The group that reads installed images. */
  readonly group: number;
}

/** No secrets: `mbl-platformd` reads what is installed. */
const rootFile = { mode: 0o644 } as const;
export const rootFolder = { mode: 0o755, uid: 0, gid: 0 } as const;
const most = 1 << 20;

/** Carries out the steps of a plan: each does nothing where it was done before, and may be cut off anywhere. */
export class Executor {
  readonly #effects: Effects;
  readonly #paths: AppPaths;
  readonly #options: ExecutorOptions;

  constructor(options: ExecutorOptions) {
    this.#effects = options.effects;
    this.#paths = options.paths;
    this.#options = options;
  }

  /** The folders that everything is in. */
  async prepare(): Promise<void> {
    const { incoming, installed, teams, images, accepted, stopped, volumes, run, answers, rollbacks } =
      this.#paths;
    for (const path of [installed, teams, images, accepted, stopped, run, answers, rollbacks])
      await this.#effects.folder(path, rootFolder);
    // Who passes through sees no names.
    await this.#effects.folder(volumes, { ...rootFolder, mode: 0o711 });
    await this.#boundIncoming();
    // Nobody else gets rid of a folder that whoever fetches has left in the place of an image.
    for (const name of await this.#effects.list(incoming))
      if ((await this.#effects.size(`${incoming}/${name}`)) === undefined)
        await this.#effects.remove(`${incoming}/${name}`);
    // Only before the first word since the device started: from then on orders to single apps are written beside this program.
    if ((await this.#effects.size(this.#paths.status)) === undefined)
      await removeDrafts(this.#effects, this.#paths);
  }

  /** As mbl-storage does: what is fetched without a bound, from a disk that takes none, is no reason to start no app. */
  async #boundIncoming(): Promise<void> {
    const { bytes, files } = incomingBudget((await this.#effects.capacity()).bytes);
    try {
      // In memory, where the disk is gone, there are no quotas; nor apps that could run.
      if (await this.#effects.quota(this.#paths.incoming, incomingProject, bytes, files)) return;
      this.#effects.say('what is fetched of apps has no bound');
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#effects.say(`<4>what is fetched of apps has no bound: ${why}`);
    }
  }

  /** `look`: what is there now. Throws `Unfit` for what the release is to blame for. */
  async perform(step: Step, look: () => Promise<View>): Promise<void> {
    const { effects, paths } = { effects: this.#effects, paths: this.#paths };
    switch (step.do) {
      case 'note':
        try {
          const text = `${JSON.stringify({ version: 1, ...step.change })}\n`;
          return await effects.write(paths.journal, text, rootFile);
        } catch (error) {
          // The way back is taken all the same, and makes room. A power cut on it leads to another try.
          if (step.change.phase !== 'back' || !isErrno(error, 'ENOSPC')) throw error;
          return;
        }
      case 'done':
        return await effects.remove(paths.journal);
      case 'image':
        return await this.#bringIn(step.app, step.image);
      case 'keep':
        return await this.#keep(step.team, step.release);
      case 'volumes':
        await this.#makeVolumes(step.team, step.app);
        return;
      case 'stop':
        return await this.#stop(step.apps);
      case 'start':
        return await this.start(step.release, step.must ? 'must' : 'may');
      case 'await':
        return await this.#tryOut(step.change, step.apps);
      case 'accept': {
        const path = paths.acceptedBy(step.team);
        const before = parseAccepted((await effects.read(path, most)) ?? '');
        if (before >= step.rollbackIndex) return;
        return await effects.write(
          path,
          `${JSON.stringify({ version: 1, rollbackIndex: step.rollbackIndex })}\n`,
          rootFile,
        );
      }
      case 'commit':
        if (step.state === undefined) {
          // Its images go: whoever wants it again brings it again.
          await effects.remove(paths.order(step.team));
          return await effects.remove(paths.team(step.team));
        }
        await effects.folder(paths.team(step.team), rootFolder);
        return await effects.write(
          paths.teamState(step.team),
          `${JSON.stringify({ version: 1, ...step.state })}\n`,
          rootFile,
        );
      case 'sweep':
        return await sweep(this.#effects, paths, await look());
    }
  }

  /** Meanwhile a failure of the health command is this program's to count: app-health.sh starts nothing anew. */
  async #tryOut(change: Change, apps: readonly AppDescription[]): Promise<void> {
    const asked = apps.filter(({ health }) => health !== undefined);
    for (const { name } of asked) await this.#effects.write(this.#paths.trial(name), '\n', rootFile);
    try {
      await becomeHealthy(apps, this.#effects, {
        isStopped: (app) => this.isStopped(app),
        isWanted: () => this.#isWanted(change),
      });
    } finally {
      for (const { name } of asked) await this.#effects.remove(this.#paths.trial(name));
    }
  }

  /** Somebody may change their mind meanwhile: a release that never gets healthy keeps nobody waiting who has noticed. */
  async #isWanted({ team, to, rollback }: Change): Promise<boolean> {
    const desired = parseDesired(await this.#effects.read(this.#paths.desired, maxDesiredApps));
    if (desired === undefined) return true;
    const wanted = desired.find((one) => one.team === team);
    return wanted !== undefined && (rollback || wanted.release === to);
  }

  async isStopped(app: string): Promise<boolean> {
    return (await this.#effects.size(this.#paths.stoppedApp(app))) !== undefined;
  }

  async slots(): Promise<Slots> {
    return parseSlots((await this.#effects.read(this.#paths.slots, most)) ?? '');
  }

  /** From what was fetched to a sealed file under its digest. Whoever could write it cannot any more. */
  async #bringIn(app: string, { size, sha256, fsVerity }: AppImage): Promise<void> {
    const { effects, paths } = { effects: this.#effects, paths: this.#paths };
    const target = paths.installedImage(fsVerity);
    if ((await effects.measure(target)) === fsVerity) return;
    await effects.remove(target);
    const draft = paths.imageDraft(fsVerity);
    const fetched = paths.image(sha256);
    if ((await effects.size(fetched)) !== undefined) {
      await effects.remove(draft);
      await effects.move(fetched, draft);
    }
    if ((await effects.size(draft)) !== size) {
      await effects.remove(draft);
      throw otherImage(app);
    }
    if ((await effects.measure(draft)) === undefined)
      await sealImage(effects, draft, size, { mode: 0o640, uid: 0, gid: this.#options.group });
    if ((await effects.measure(draft)) !== fsVerity) {
      await effects.remove(draft);
      throw otherImage(app);
    }
    await effects.move(draft, target);
  }

  /** What was judged is what is kept: the file is read once more and judged again before the release runs. */
  async #keep(team: string, release: string): Promise<void> {
    const text = await this.#effects.read(this.#paths.order(team), maxAppOrder);
    if (text === undefined) throw new Unfit('app/replaced', 'the order is gone');
    await this.#effects.folder(this.#paths.team(team), rootFolder);
    await this.#effects.folder(this.#paths.releases(team), rootFolder);
    await this.#effects.write(this.#paths.release(team, release), text, rootFile);
  }

  async #makeVolumes(team: string, app: AppDescription): Promise<number> {
    const slots = new Map(await this.slots());
    const owner = slots.get(app.name);
    let slot = owner?.team === team ? owner.slot : undefined;
    if (slot === undefined) {
      // Of a team that has gone: nobody else gets to see what it kept. Without an entry the file was lost, and nobody's data with it.
      if (owner !== undefined) await this.#effects.remove(this.#paths.volumesOf(app.name));
      slots.delete(app.name);
      slot = freeSlot(slots);
      slots.set(app.name, { team, slot });
      await this.#effects.write(this.#paths.slots, formatSlots(slots), rootFile);
    }
    if (app.volumes.length === 0) return slot;
    const { uid, gid } = idsOf(app, slot);
    const bytes = app.volumes.reduce((sum, one) => sum + one.size, 0);
    // The folders of the volumes count too.
    const files = app.volumes.reduce((sum, one) => sum + one.files + 1, 0);
    await this.#effects.folder(this.#paths.volumesOf(app.name), { ...rootFolder, mode: 0o711 });
    for (const { name } of app.volumes) {
      const path = this.#paths.volume(app.name, name);
      await this.#effects.folder(path, { mode: 0o700, uid, gid });
      if (!(await this.#effects.quota(path, projectOf(slot), bytes, files)))
        throw new Error('the file system holds no volume to its size');
    }
    return slot;
  }

  /** Until they are down; nothing of them is left in `/run`. */
  async #stop(apps: readonly string[]): Promise<void> {
    const { effects, paths } = { effects: this.#effects, paths: this.#paths };
    const present = new Set(await effects.list(paths.units));
    const units = apps.flatMap((app) => [healthTimerOf(app), healthUnitOf(app), unitOf(app)]);
    const known = units.filter((unit) => present.has(unit));
    for (const app of apps) await effects.remove(paths.begun(app));
    if (known.length === 0) return;
    await effects.stop(known);
    for (const unit of known) await effects.remove(paths.unit(unit));
    await effects.reload();
    for (const app of apps) await effects.remove(paths.config(app));
  }

  /** Which app it was, and what is known of its end. One that ends before its number is read has no status that anybody sees. */
  async #whyNot(apps: readonly string[], fault: string): Promise<Unfit> {
    for (const app of apps) {
      const state = await this.#effects.show(unitOf(app));
      if (state.active === 'active') continue;
      const end = endOf(state);
      if (end !== undefined) return new Unfit(end.reason, `${app} ${end.detail}`);
      const how = state.result === 'protocol' ? 'ended as it started' : 'could not be started';
      return new Unfit('app/did-not-start', `${app} ${how}`);
    }
    return new Unfit('app/did-not-start', fault);
  }

  /**
   * Writes what the apps of a release need, and starts those that were not started since the device was, unless they are stopped by order.
   * `must`: throws `Unfit` where one does not start; `may`: systemd goes on trying.
   */
  async start({ team, apps }: JudgedRelease, how: 'must' | 'may'): Promise<void> {
    const { effects, paths } = { effects: this.#effects, paths: this.#paths };
    let changed = false;
    const isFirst = (await effects.size(paths.written)) === undefined;
    const waiting: string[] = [];
    for (const app of apps) {
      if ((await effects.size(paths.begun(app.name))) !== undefined) continue;
      const slot = await this.#makeVolumes(team, app);
      const { bundle, units } = await this.#options.write(app, team, slot);
      await effects.folder(paths.bundle(app.name), rootFolder);
      await effects.folder(`${paths.bundle(app.name)}/rootfs`, rootFolder).catch((error: unknown) => {
        // An image that its unit could not take away is still mounted there; the unit does it before it mounts the next one.
        if (!isErrno(error, 'EROFS')) throw error;
      });
      for (const [name, text] of bundle)
        await effects.write(`${paths.bundle(app.name)}/${name}`, text, { mode: 0o644 });
      if (isFirst && !changed) await effects.write(paths.written, '\n', rootFile);
      for (const [name, text] of units) {
        await effects.write(paths.unit(name), text, { mode: 0o644 });
        changed = true;
      }
      waiting.push(app.name);
    }
    // A unit that systemd does not know it looks for when it is to start it; all units are read anew in seconds.
    if (changed && !isFirst) await effects.reload();
    const meant: string[] = [];
    for (const app of waiting) if (!(await this.isStopped(app))) meant.push(app);
    if (meant.length > 0) {
      const fault = await effects.start(meant.map(unitOf), how === 'must');
      if (fault !== undefined && how === 'must') throw await this.#whyNot(meant, fault);
    }
    for (const app of waiting) await effects.write(paths.begun(app), '\n', rootFile);
  }
}

/** The same sentence for one that is not there: where the power goes after it was removed, nobody knows any more. */
function otherImage(app: string): Unfit {
  return new Unfit('app/damaged', `the image of ${app} is not there, or not the one that was signed`);
}

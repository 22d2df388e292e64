// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type AppImage, isTeam, maxAppOrder, maxDesiredApps } from '@mbl/formats';
import type { Effects } from './effects.ts';
import { isRefusal, type JudgedRelease, parseSignedApps, type Refusal, type SignedApps } from './judge.ts';
import type { AppPaths } from './places.ts';
import type { Offered, View } from './plan.ts';
import type { AppPolicy } from './policy.ts';
import { askId, type Change, parseAccepted, parseDesired, parseTeamState, type TeamState } from './state.ts';

/** What the signed root says. */
export interface Ground {
  readonly policy: AppPolicy;
  /** Why the kernel does not confine apps; undefined where it does. */
  readonly unconfined: string | undefined;
  readonly os: string;
  /** By the root of releases; without a time for what is installed (`judgeApps`). */
  readonly judge: (signed: SignedApps, rollbackIndex: number, now?: Date) => Promise<JudgedRelease | Refusal>;
  readonly now: () => Date;
}

const mostState = 1 << 20;
/** Of the file system of apps: what is not for them. */
const reserve = 32 << 20;
const reservedFiles = 2048;

/** Looks at all that decides. What was judged before is not judged again as long as its file is the same. */
export class Observer {
  readonly #effects: Effects;
  readonly #paths: AppPaths;
  readonly #ground: Ground;
  readonly #judged = new Map<string, JudgedRelease | Refusal>();

  constructor(effects: Effects, paths: AppPaths, ground: Ground) {
    this.#effects = effects;
    this.#paths = paths;
    this.#ground = ground;
  }

  async view(change: Change | undefined, onTrial: boolean): Promise<View> {
    const paths = this.#paths;
    const desired = parseDesired(await this.#effects.read(paths.desired, maxDesiredApps));
    const teams = new Map<string, TeamState>();
    const kept = new Map<string, JudgedRelease | Refusal>();
    for (const team of (await this.#effects.list(paths.teams)).filter(isTeam)) {
      const state = parseTeamState((await this.#effects.read(paths.teamState(team), mostState)) ?? '');
      if (state !== undefined) teams.set(team, state);
      for (const release of releasesOf(await this.#effects.list(paths.releases(team))))
        kept.set(`${team}/${release}`, await this.#kept(team, release));
    }
    const offered = new Map<string, Offered>();
    for (const { team } of desired ?? []) {
      const offer = await this.#offer(team);
      if (offer !== undefined) offered.set(team, offer);
    }
    const images = new Set<string>();
    for (const judged of kept.values())
      if (!isRefusal(judged))
        for (const { image } of judged.apps)
          if ((await this.#effects.measure(paths.installedImage(image.fsVerity))) === image.fsVerity)
            images.add(image.fsVerity);
    const fetched = new Set<string>();
    for (const { judged } of offered.values())
      if (!isRefusal(judged))
        for (const { image } of judged.apps) if (await this.#isThere(image)) fetched.add(image.fsVerity);
    const rollbacks = new Map<string, string>();
    for (const team of (await this.#effects.list(paths.rollbacks)).filter(isTeam)) {
      const ask = ((await this.#effects.read(paths.rollback(team), 256)) ?? '').trim();
      rollbacks.set(team, askId.test(ask) ? ask : '');
    }
    const { policy, unconfined, os } = this.#ground;
    const all = await this.#effects.capacity();
    const capacity = all.bytes - reserve;
    // A file system without a number of its own has as many as there is room for.
    const files = all.files === 0 ? Infinity : all.files - reservedFiles;
    const facts = { desired, offered, teams, kept, images, fetched, rollbacks, change, onTrial };
    return { ...facts, policy, unconfined, os, capacity, files };
  }

  async #isThere({ sha256, fsVerity, size }: AppImage): Promise<boolean> {
    const paths = this.#paths;
    // Also one that was taken over: what is brought a second time, and is not whole yet, would take its place.
    for (const path of [paths.image(sha256), paths.installedImage(fsVerity), paths.imageDraft(fsVerity)])
      if ((await this.#effects.size(path)) === size) return true;
    return false;
  }

  async #offer(team: string): Promise<Offered | undefined> {
    const path = this.#paths.order(team);
    const stamp = await this.#effects.stamp(path);
    if (stamp === undefined) return undefined;
    const id = createHash('sha256').update(stamp).digest('hex').slice(0, 32);
    const judged = await this.#judge(path, team, undefined, this.#ground.now());
    return judged && { id, ...judged };
  }

  async #kept(team: string, release: string): Promise<JudgedRelease | Refusal> {
    const found = await this.#judge(this.#paths.release(team, release), team, release);
    return found?.judged ?? { reason: 'app/damaged', detail: 'what vouches for it cannot be read' };
  }

  async #judge(path: string, team: string, release: string | undefined, now?: Date) {
    const accepted = await this.#effects.read(this.#paths.acceptedBy(team), mostState);
    const rollbackIndex = parseAccepted(accepted ?? '');
    const text = await this.#effects.read(path, maxAppOrder);
    if (text === undefined) return undefined;
    try {
      const signed = parseSignedApps(text, path);
      if (signed.team !== team || (release !== undefined && signed.release !== release)) return undefined;
      const digest = createHash('sha256').update(text).digest('hex');
      const key = `${digest} ${rollbackIndex} ${now === undefined ? 'kept' : 'offered'}`;
      let judged = this.#judged.get(key);
      if (judged === undefined) {
        judged = await this.#ground.judge(signed, rollbackIndex, now);
        this.#judged.set(key, judged);
      }
      return { release: signed.release, judged };
    } catch {
      return undefined;
    }
  }
}

function releasesOf(files: readonly string[]): string[] {
  return files.flatMap((file) =>
    file.endsWith('.json') && !file.startsWith('.') ? [file.slice(0, -5)] : [],
  );
}

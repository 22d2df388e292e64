// SPDX-License-Identifier: Apache-2.0
import { type SqlBool, sql } from 'kysely';
import type { Context } from '../../context.ts';
import { persistently } from '../../infra/persistently.ts';
import type { DeviceSession } from '../connections/session.ts';
import { type Catalogue, hasRoot, type KnownRelease } from '../releases/catalogue.ts';
import { RequestFailure, toFailure } from '../requests/failure.ts';
import { isUpdatable, readBuild, readStatus } from './status.ts';

export interface RunningReleaseParts {
  readonly catalogue: Catalogue;
  /** How long a device may take for a request, in milliseconds. */
  readonly timeoutMs?: number;
}

const success = 1;

/** Which release each device runs: the one of the build that it says it runs when it registers. */
export class RunningReleases implements Disposable {
  readonly #context: Context;
  readonly #parts: RunningReleaseParts;
  /** In which session it was told: a device that comes back may run another one. */
  readonly #told = new WeakMap<DeviceSession, string>();
  readonly #stopped = new AbortController();
  /** The releases by which devices were named last. */
  #named: readonly KnownRelease[] | undefined;

  constructor(context: Context, parts: RunningReleaseParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** The release that a device runs, where it is known in this session. */
  of(device: DeviceSession): string | undefined {
    return this.#told.get(device);
  }

  /** Asks a device that has registered. Never throws: what it does not tell is not known. */
  async collect(device: DeviceSession): Promise<void> {
    if (!isUpdatable(device)) return;
    const { deviceId } = device.identity;
    try {
      const build = await readBuild(device, this.#limit());
      if (build === undefined) return;
      const status = await readStatus(device, this.#limit());
      const proved = status?.state === 'idle' && status.result === success ? status.release : '';
      const release = await this.#nameOf(build, proved);
      if (release !== undefined) this.#told.set(device, release);
      await persistently(
        () => this.#write(deviceId, build, release ?? null),
        () => !device.over && !this.#stopped.signal.aborted,
      );
    } catch (error) {
      if (this.#stopped.signal.aborted || toFailure(error) instanceof RequestFailure) return;
      this.#context.log.error('Which release a device runs could not be seen', { deviceId, error });
    }
  }

  /** `proved`: what the device says it was updated to last. Several releases may have one build. */
  async #nameOf(build: string, proved: string): Promise<string | undefined> {
    const { catalogue } = this.#parts;
    const names = await catalogue.ofBuild(build);
    if (proved === '' || names.includes(proved)) return proved === '' ? names.at(-1) : proved;
    const known = await catalogue.find(proved);
    // One of another repository, or one that left the root as it was.
    return known === undefined || !hasRoot(known.release) ? proved : names.at(-1);
  }

  async #write(deviceId: string, build: string, release: string | null): Promise<void> {
    await this.#context.db
      .updateTable('devices')
      .set({ build_id: build, release })
      .where('id', '=', deviceId)
      .where(sql<SqlBool>`(build_id, release) is distinct from (${build}, ${release})`)
      .execute();
  }

  /** Names what devices run by the releases that there are now: one may have been published after its devices registered. */
  async refresh(): Promise<void> {
    const releases = await this.#parts.catalogue.list();
    if (releases === this.#named) return;
    for (const { release } of releases) {
      for (const { buildId } of hasRoot(release) ? release.images : []) {
        const names = await this.#parts.catalogue.ofBuild(buildId);
        await this.#context.db
          .updateTable('devices')
          .set({ release: names.at(-1) ?? null })
          .where('account_id', '=', this.#context.accountId)
          .where('build_id', '=', buildId)
          .where('release', 'is', null)
          .execute();
      }
    }
    this.#named = releases;
  }

  #limit(): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(this.#parts.timeoutMs ?? 30_000), this.#stopped.signal]);
  }

  [Symbol.dispose](): void {
    this.#stopped.abort(new Error('the service stops'));
  }
}

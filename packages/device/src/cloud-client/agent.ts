// SPDX-License-Identifier: Apache-2.0
import type { KeyObject } from 'node:crypto';
import { Code, type CoapPeer } from '@mbl/coap';
import type { FactoryConfiguration, ImageIdentity } from '@mbl/formats';
import { type ClientState, Lwm2mClient, Lwm2mError, type Lwm2mValue } from '@mbl/lwm2m';
import type { Log } from '../common/log.ts';
import { sleep } from '../common/wait.ts';
import type { Platform } from '../platform/contract.ts';
import { Backoff } from './backoff.ts';
import { openConnection } from './connection.ts';
import { enrol, renew } from './est-client.ts';
import { classifyFailure, isCertificateRefused } from './failure.ts';
import type { Identity, IdentityStore } from './identity.ts';
import type { AppBus } from './ipc/app-bus.ts';
import type { RestartDeferrals } from './ipc/deferrals.ts';
import { type DeviceObjects, deviceObjects } from './objects/all.ts';
import type { AppUpdater } from './apps/updater.ts';
import type { UpdateMemory } from './update/memory.ts';
import type { OrderDoor } from './update/order-door.ts';
import type { Repository } from './update/repository.ts';
import { type History, planStep, type Step } from './planner.ts';
import {
  isLifetime,
  longestLifetime,
  saveSettings,
  type ServerSettings,
  shortestLifetime,
} from './settings.ts';

/** Milliseconds. */
export interface AgentTiming {
  /** Bounds of the first and of every later delay after a failure. */
  readonly retryFirst: number;
  readonly retryMax: number;
  /** Bound of the delay after a refused enrolment: only a person can end that. */
  readonly refusedMax: number;
  /** Between looks for a network, while there is none. */
  readonly offline: number;
  /** A registration that lasted this long was a success: the next failure is a first one. */
  readonly stable: number;
  /** Between looks at the platform and at the end of the certificate, while connected. */
  readonly refresh: number;
  /** What a farewell to the service may take. */
  readonly farewell: number;
}

export const defaultTiming: AgentTiming = {
  retryFirst: 1000,
  retryMax: 900_000,
  refusedMax: 300_000,
  offline: 500,
  stable: 30_000,
  refresh: 60_000,
  farewell: 2000,
};

export interface AgentOptions {
  readonly factory: FactoryConfiguration;
  readonly image: ImageIdentity;
  readonly store: IdentityStore;
  /** Where settings are kept: the identity folder. */
  readonly settingsDir: string;
  readonly settings: ServerSettings;
  readonly platform: Platform;
  readonly repository: Repository;
  readonly updates: UpdateMemory;
  /** A folder for packages on their way. */
  readonly packages: string;
  readonly orders: OrderDoor;
  readonly apps: AppUpdater;
  /** The apps, whose resources join the device's own. */
  readonly appBus: Pick<AppBus, 'serve' | 'registered'>;
  readonly deferrals: RestartDeferrals;
  readonly log: Log;
  /** Told when the device is registered, and when it is no more: the judgement of a new version waits for it. */
  readonly registered?: (registered: boolean) => Promise<void>;
  /** Milliseconds since 1970, as the device believes. */
  readonly now?: () => number;
  /** A number in [0, 1). */
  readonly random?: () => number;
  readonly timing?: AgentTiming;
}

/** Keeps the device enrolled, connected and registered. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #timing: AgentTiming;
  readonly #now: () => number;
  readonly #backoff: Backoff;
  readonly #objects: DeviceObjects;
  readonly #client: Lwm2mClient;
  readonly #stopped = new AbortController();
  #lost = new AbortController();
  #renewalTriedAt: number | undefined;
  #certificateRefused = false;
  #offline = false;
  /** Resolves when every setting is on the disk. */
  #saved = Promise.resolve();

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#timing = options.timing ?? defaultTiming;
    this.#now = options.now ?? Date.now;
    this.#backoff = new Backoff({ firstMs: this.#timing.retryFirst, random: options.random ?? Math.random });
    this.#objects = deviceObjects({
      ...options,
      now: this.#now,
      stopped: this.#stopped.signal,
      keep: (id, value) => this.#keep(id, value),
    });
    this.#client = new Lwm2mClient({
      endpointName: options.factory.endpointName,
      objects: this.#objects.all,
      // ARCHITECTURE.md, Management: what the directory shows as `image_keys`.
      parameters: { keys: options.image.keys },
      onState: (state) => this.#onState(state),
    });
    options.appBus.serve(this.#client);
  }

  /** Runs until the signal is aborted, then says farewell to the service. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const stored = await this.#options.store.load();
      if (stored.damage !== undefined) this.#options.log.error('identity damaged', { reason: stored.damage });
      const step = planStep(stored, this.#now(), this.#history());
      try {
        await this.#perform(step, signal);
        this.#offline = false;
      } catch (error) {
        if (!signal.aborted) await this.#waitAfter(step, error, signal);
      }
    }
    this.#stopped.abort();
    await this.#client[Symbol.asyncDispose]();
    await this.#saved;
  }

  #history(): History {
    return { renewalTriedAt: this.#renewalTriedAt, certificateRefused: this.#certificateRefused };
  }

  async #perform(step: Step, signal: AbortSignal): Promise<void> {
    if (step.do === 'create-key') await this.#createKey();
    else if (step.do === 'enrol') await this.#enrol(step.key, signal);
    else if (step.do === 'renew') await this.#renew(step.identity, signal);
    else await this.#stayConnected(step.identity, signal);
  }

  async #createKey(): Promise<void> {
    await this.#options.store.createKey();
    this.#options.log.info('key created', { algorithm: 'ec-p256' });
  }

  async #enrol(key: KeyObject, signal: AbortSignal): Promise<void> {
    const { factory, store, log } = this.#options;
    const certificate = await enrol(factory, key, signal);
    const identity = await store.saveCertificate(key, certificate, new Date(this.#now()));
    log.info('enrolled', {
      device: identity.deviceId,
      endpoint: factory.endpointName,
      until: certificate.validTo,
    });
    // A service that gives and refuses by turns is not to be asked without a pause.
    if (!this.#certificateRefused) this.#backoff.reset();
    this.#certificateRefused = false;
  }

  /** A renewal that fails is tried again later; the present certificate still holds. */
  async #renew(identity: Identity, signal: AbortSignal): Promise<void> {
    const { factory, store, log } = this.#options;
    this.#renewalTriedAt = this.#now();
    try {
      const certificate = await renew(factory, identity, signal);
      await store.saveCertificate(identity.key, certificate, new Date(this.#now()));
      log.info('renewed', { device: identity.deviceId, until: certificate.validTo });
    } catch (error) {
      log.warning('renewal failed', {
        reason: classifyFailure(error).reason,
        until: identity.certificate.validTo,
      });
    }
  }

  async #stayConnected(identity: Identity, signal: AbortSignal): Promise<void> {
    const { factory, log } = this.#options;
    this.#lost = new AbortController();
    const peer = await openConnection(factory, identity, this.#client, signal);
    try {
      await this.#client.attach(peer, { signal });
      log.info('registered', {
        device: identity.deviceId,
        endpoint: factory.endpointName,
        server: factory.service.lwm2m,
      });
      this.#offline = false;
      await this.#watch(peer, identity, signal);
    } finally {
      await this.#options.registered?.(false);
      if (!peer.closed.aborted) await this.#sayFarewell();
      peer.close();
    }
  }

  /** Until the registration is lost (throws), the certificate is due for renewal, or the signal is aborted. */
  async #watch(peer: CoapPeer, identity: Identity, signal: AbortSignal): Promise<void> {
    const { stable, refresh } = this.#timing;
    const since = performance.now();
    const gone = AbortSignal.any([peer.closed, this.#lost.signal, signal]);
    // The first call starts the platform service; nothing waits for it.
    void this.#objects.refresh();
    void this.#tellRegistered(gone);
    while (!gone.aborted) {
      await sleep(refresh, gone);
      if (performance.now() - since >= stable) this.#backoff.reset();
      if (signal.aborted) return;
      if (gone.aborted) throw new ConnectionLost(gone.reason);
      await this.#objects.refresh();
      if (planStep({ key: identity.key, identity }, this.#now(), this.#history()).do === 'renew') return;
    }
  }

  /** Tells that the device is registered once its platform service answers too: without it no update would ever come again. */
  async #tellRegistered(gone: AbortSignal): Promise<void> {
    while (!gone.aborted) {
      const answers = await this.#options.platform.getUpdate().then(
        () => true,
        () => false,
      );
      if (gone.aborted) return;
      if (answers) return await this.#options.registered?.(true);
      await sleep(this.#timing.stable, gone);
    }
  }

  async #sayFarewell(): Promise<void> {
    await this.#client.deregister({ timeoutMs: this.#timing.farewell }).catch(() => undefined);
  }

  async #waitAfter(step: Step, error: unknown, signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    const failure = classifyFailure(error, this.#now());
    this.#certificateRefused = step.do === 'connect' && isCertificateRefused(error);
    if (failure.kind === 'offline') {
      if (!this.#offline) log.info('waiting for the network', { reason: failure.reason });
      this.#offline = true;
      await sleep(this.#timing.offline, signal);
      return;
    }
    this.#offline = false;
    const code = step.do === 'enrol' && failure.kind === 'refused';
    const { holdOffMs = 0 } = failure;
    // Of many that were asked to stay away for the same time, not all come back in one instant.
    const retryMs = holdOffMs + this.#backoff.next(code ? this.#timing.refusedMax : this.#timing.retryMax);
    log.warning(failurePhrase(step, error, failure.kind), {
      reason: failure.reason,
      waits: code ? waitForCode(this.#options.factory.endpointName) : undefined,
      retryMs,
    });
    await sleep(retryMs, signal);
  }

  #onState(state: ClientState): void {
    this.#options.appBus.registered(state.state === 'registered' || state.state === 'updated');
    if (state.state === 'lost') this.#lost.abort(state.cause);
  }

  /**
   * Keeps a lifetime before the service is answered: what it was told to be written is there after a power cut. One that no registration can
   * have would keep the device off line: refused.
   */
  async #keep(resourceId: number, value: Lwm2mValue): Promise<void> {
    const lifetimeResource = 1;
    if (resourceId !== lifetimeResource) return;
    if (!isLifetime(value))
      throw new Lwm2mError(
        'device/bad-lifetime',
        `the lifetime is a whole number of seconds from ${shortestLifetime} to ${longestLifetime}`,
        { status: Code.BAD_REQUEST },
      );
    const { settingsDir, log } = this.#options;
    // One after the other: they share a file, and the last one written must be the one that stays.
    const saved = this.#saved.then(() => saveSettings(settingsDir, { lifetime: value }));
    this.#saved = saved.catch(() => undefined);
    try {
      await saved;
    } catch (cause) {
      log.error('settings not saved', { reason: classifyFailure(cause).reason });
      throw new Lwm2mError('device/settings-not-saved', 'the setting could not be kept', {
        status: Code.INTERNAL_SERVER_ERROR,
        cause,
      });
    }
  }
}

/** A registration that was there ended. */
class ConnectionLost extends Error {
  constructor(cause: unknown) {
    super('', { cause });
  }
}

/** For whoever reads the console of a board that cannot help itself: what it waits for, and what to type where the service is. */
function waitForCode(endpointName: string): string {
  return `until the service accepts its enrolment code again: mbl device enrol ${endpointName} --again`;
}

function failurePhrase(step: Step, error: unknown, kind: 'refused' | 'failed'): string {
  if (step.do === 'create-key') return 'key creation failed';
  if (step.do === 'enrol') return `enrolment ${kind}`;
  if (kind === 'refused') return 'registration refused';
  return error instanceof ConnectionLost ? 'connection lost' : 'connection failed';
}

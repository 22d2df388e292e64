// SPDX-License-Identifier: Apache-2.0
import {
  type AppAnswer,
  type AppAsk,
  type AppReleaseStatus,
  type AppStatus,
  parseAppAsk,
  parseDesiredApps,
} from '@mbl/formats';
import { Code } from '@mbl/coap';
import { deviceModel, Lwm2mClient, Lwm2mError, mblAppsModel, objectInstance, serverObject } from '@mbl/lwm2m';
import { ClientDevice } from './client-device.ts';
import { enrol, type TestIdentity } from './device.ts';
import type { Served } from './service.ts';

/** A release of a team as a device tells of it, with what is not of interest filled in. */
export function releaseStatus(fields: Partial<AppReleaseStatus> & { team: string }): AppReleaseStatus {
  return {
    ...{ release: '1.0', running: '1.0', state: 'running', reason: '', detail: '', fetched: 0, toFetch: 0 },
    ...fields,
  };
}

/** The same of an app. */
export function appStatus(fields: Partial<AppStatus> & { name: string }): AppStatus {
  return {
    ...{ team: 'weather', release: '1.0', version: '1.0', state: 'running', since: 1_800_000_000_000 },
    ...{ restarts: 0, memory: 4096, reason: '', detail: '' },
    ...fields,
  };
}

/**
 * A board that takes apps as ours do, in memory. Nothing goes on by itself: a test says how its releases and apps stand, and what comes of what it
 * is asked to do. It keeps its document and its last 8 answers over its restarts.
 */
export class AppDevice extends ClientDevice {
  desired = '';
  /** Documents as they came. */
  readonly told: string[] = [];
  readonly asks: AppAsk[] = [];
  /** How often it was read or observed how its releases stand. */
  looked = 0;
  refuses = false;
  /** Before it answers that it has its document. */
  onDesired: (() => void | Promise<void>) | undefined;
  /** What comes of something that it is asked to do; without it nothing does. */
  onAsk: ((ask: AppAsk) => Omit<AppAnswer, 'id'> | undefined | Promise<void>) | undefined;
  #releases: readonly string[] = [];
  #apps: readonly string[] = [];
  #answers: readonly string[] = [];
  #changed: (what: 'releases' | 'apps' | 'answers') => void = () => undefined;

  private constructor(service: Served, identity: TestIdentity) {
    super(service, identity);
  }

  static async enrolled(service: Served, name: string): Promise<AppDevice> {
    return new AppDevice(service, await enrol(service, name));
  }

  /** The teams of its document, each with its release. */
  get wanted(): Record<string, string> {
    const { releases } = parseDesiredApps(this.desired);
    return Object.fromEntries(releases.map(({ team, release }) => [team, release]));
  }

  /** Tells how it stands; texts are told as they are. */
  report(releases: readonly (AppReleaseStatus | string)[], apps: readonly (AppStatus | string)[] = []): void {
    const text = (one: object | string) => (typeof one === 'string' ? one : JSON.stringify(one));
    this.#releases = releases.map(text);
    this.#apps = apps.map(text);
    this.#changed('releases');
    this.#changed('apps');
  }

  answer(answer: AppAnswer | string, { told = true }: { told?: boolean } = {}): void {
    const text = typeof answer === 'string' ? answer : JSON.stringify(answer);
    this.#answers = [...this.#answers, text].slice(-8);
    if (told) this.#changed('answers');
  }

  protected makeClient(): Lwm2mClient {
    const all = (texts: readonly string[]) => new Map(texts.map((text, i) => [i, text]));
    const apps = objectInstance(mblAppsModel, 0, {
      desired: {
        read: () => this.desired,
        write: async (text) => {
          this.told.push(text);
          if (this.refuses)
            throw new Lwm2mError('device/refused', 'not on this device', { status: Code.BAD_REQUEST });
          this.desired = text;
          await this.onDesired?.();
        },
      },
      releases: {
        read: () => {
          this.looked += 1;
          return all(this.#releases);
        },
      },
      apps: { read: () => all(this.#apps) },
      ask: {
        write: async (text) => {
          const ask = parseAppAsk(text);
          this.asks.push(ask);
          const answer = await this.onAsk?.(ask);
          if (answer !== undefined) this.answer({ id: ask.id, ...answer });
        },
      },
      answers: { read: () => all(this.#answers) },
    });
    this.#changed = (what) => apps.changed(what);
    return new Lwm2mClient({
      endpointName: this.identity.name,
      objects: [
        serverObject({ lifetime: 300 }),
        objectInstance(deviceModel, 0, {
          reboot: { execute: () => undefined },
          errorCode: new Map([[0, 0]]),
          supportedBindingAndModes: 'T',
        }),
        apps,
      ],
    });
  }
}

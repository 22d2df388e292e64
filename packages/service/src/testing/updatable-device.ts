// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import {
  deviceModel,
  firmwareUpdateModel,
  Lwm2mClient,
  Lwm2mError,
  mblUpdateModel,
  objectInstance,
  serverObject,
} from '@mbl/lwm2m';
import { updateStates } from '../features/release-orders/status.ts';
import { ClientDevice } from './client-device.ts';
import { enrol, type TestIdentity } from './device.ts';
import type { Served } from './service.ts';

/** How the last update stands on the disk of a board: what outlives its restarts. */
interface Outcome {
  readonly state: 'none' | 'trying' | 'confirmed' | 'fell-back';
  readonly release: string;
  readonly reason: string;
}

interface Session {
  state: (typeof updateStates)[number];
  result: number;
  uri: string;
  release: string;
  detail: string;
  reason: string;
  fetched: number;
  toFetch: number;
}

const quiet = { detail: '', reason: '', fetched: 0, toFetch: 0 };

/**
 * A board that takes updates as ours do, in memory: it forgets what it was told when it restarts, but not how its last update ended.
 * Nothing goes on by itself: a test says when a download is there and how a trial ends.
 */
export class UpdatableDevice extends ClientDevice {
  build: string;
  outcome: Outcome = { state: 'none', release: '', reason: '' };
  session: Session = this.#fresh();
  /** Package URIs as they came. */
  readonly told: string[] = [];
  /** How often it was told to start a release. */
  starts = 0;
  /** In the place of taking a Package URI, or after that. */
  onUri: ((uri: string, take: () => void) => void | Promise<void>) | undefined;
  onUpdate: (() => void | Promise<void>) | undefined;

  private constructor(service: Served, identity: TestIdentity, build: string) {
    super(service, identity);
    this.build = build;
  }

  static async enrolled(service: Served, name: string, build = '0123456789abcdef'): Promise<UpdatableDevice> {
    return new UpdatableDevice(service, await enrol(service, name), build);
  }

  downloaded(): void {
    this.session.state = 'downloaded';
    this.session.release = this.session.uri.split('#')[1] ?? '';
  }

  /** The download ends with a result of LwM2M Core 1.1 Appendix E.6. */
  fails(result: number, detail: string, reason = ''): void {
    Object.assign(this.session, { state: 'idle', result, detail, reason });
  }

  /** Restarts into the release that it was told to start, on trial. */
  async restart(): Promise<void> {
    await this.start();
  }

  /** The trial ends: it proved good, in a build of its own; or the board restarts and runs what it ran before. */
  async judge(reason?: string): Promise<void> {
    const { release } = this.outcome;
    if (reason === undefined) {
      this.outcome = { state: 'confirmed', release, reason: '' };
      this.session = this.#fresh();
    } else {
      this.outcome = { state: 'fell-back', release, reason };
      await this.start();
    }
  }

  #fresh(): Session {
    const { state, release, reason } = this.outcome ?? { state: 'none', release: '', reason: '' };
    const trying = state === 'trying';
    const result = state === 'confirmed' ? 1 : state === 'fell-back' ? 8 : 0;
    const why = state === 'fell-back' ? 'update/unhealthy' : '';
    return {
      ...quiet,
      reason: why,
      state: trying ? 'updating' : 'idle',
      result: trying ? 0 : result,
      uri: '',
      release,
      detail: reason,
    };
  }

  protected makeClient(): Lwm2mClient {
    this.session = this.#fresh();
    const take = (uri: string) => {
      const release = '';
      const state = uri === '' ? 'idle' : 'downloading';
      this.session = { ...quiet, state, result: 0, uri, release };
    };
    return new Lwm2mClient({
      endpointName: this.identity.name,
      objects: [
        serverObject({ lifetime: 300 }),
        objectInstance(deviceModel, 0, {
          softwareVersion: { read: () => `0.1.0 ${this.build}` },
          reboot: { execute: () => undefined },
          errorCode: new Map([[0, 0]]),
          supportedBindingAndModes: 'T',
        }),
        objectInstance(firmwareUpdateModel, 0, {
          package: { write: () => undefined },
          packageUri: {
            read: () => this.session.uri,
            write: async (uri) => {
              if (this.session.state === 'updating') throw refused('an update is being started');
              this.told.push(uri);
              await (this.onUri ?? ((_, go) => go()))(uri, () => take(uri));
            },
          },
          update: {
            execute: async () => {
              if (this.session.state !== 'downloaded') throw refused('no release is there to be started');
              this.starts += 1;
              this.outcome = { state: 'trying', release: this.session.release, reason: '' };
              this.session.state = 'updating';
              await this.onUpdate?.();
            },
          },
          state: { read: () => updateStates.indexOf(this.session.state) },
          updateResult: { read: () => this.session.result },
          pkgVersion: { read: () => this.session.release },
          firmwareUpdateDeliveryMethod: 0,
        }),
        objectInstance(mblUpdateModel, 0, {
          release: { read: () => this.session.release },
          detail: { read: () => this.session.detail },
          reason: { read: () => this.session.reason },
          bytesFetched: { read: () => this.session.fetched },
          bytesToFetch: { read: () => this.session.toFetch },
        }),
      ],
    });
  }
}

function refused(what: string): Lwm2mError {
  return new Lwm2mError('device/updating', what, { status: Code.METHOD_NOT_ALLOWED });
}

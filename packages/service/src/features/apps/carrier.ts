// SPDX-License-Identifier: Apache-2.0
import type { AppReleaseStatus, AppStatus } from '@mbl/formats';
import { type Lwm2mResponse, mblAppsModel, type Node, type Observation, type Path } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import { isPassing, storable } from '../../infra/database.ts';
import { Gathering } from '../../infra/gathering.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import { persistently } from '../../infra/persistently.ts';
import type { Connections } from '../connections/connections.ts';
import type { DeviceSession } from '../connections/session.ts';
import { RequestFailure, toFailure } from '../requests/failure.ts';
import { Looks, type LookTiming } from '../requests/looks.ts';
import { composeDesired } from './desired.ts';
import { planApps } from './plan.ts';
import { type AppReport, emptyReport, readApps, readReleases, sameReport } from './report.ts';
import { type AppReports, readStandings, type Standing } from './reports.ts';

const { id: object, rows } = mblAppsModel;
const desiredPath: Path = [object, 0, rows.desired[0]];
const releasesPath: Path = [object, 0, rows.releases[0]];
const appsPath: Path = [object, 0, rows.apps[0]];

/** Whether a device has the object by which it is told of apps. */
export function hasApps(device: DeviceSession): boolean {
  return device.paths.some(([id, instance = 0]) => id === object && instance === 0);
}

export interface AppCarrierParts {
  readonly reports: AppReports;
  readonly connections: Connections;
  readonly timing: LookTiming;
}

/** What is known of the apps of a device, in one session of it. */
interface Known {
  readonly device: DeviceSession;
  /** Counts how often what it is to have changed, or may have. */
  version: number;
  standing: { readonly version: number; readonly of: Standing } | undefined;
  held: string | undefined;
  refused: { readonly text: string; readonly at: number } | undefined;
  observations: Observation[];
  observed: boolean;
  tells: boolean;
  /** What it told last and nobody has read. */
  told: { releases?: Lwm2mResponse; apps?: Lwm2mResponse };
  releases: readonly AppReleaseStatus[];
  apps: readonly AppStatus[];
  /** What is written down of it; undefined: not known. */
  written: AppReport | undefined;
  writtenAt: number;
  warned: boolean;
}

/** Figures alone, as bytes that come, are written down so often: in milliseconds. */
const figuresMs = 10_000;
/** Reports that are written at the same time: others need the database too. */
const lanes = 4;

/**
 * Tells devices which apps they are to have, and writes down what they say of them. What a device holds is read from itself when it registers, so
 * whatever was lost on the way, of an order or of an answer, is found then. Whoever is not connected costs nothing.
 */
export class AppCarrier implements AsyncDisposable {
  readonly #context: Context;
  readonly #parts: AppCarrierParts;
  readonly #looks: Looks;
  readonly #standings: Gathering<string, Standing>;
  readonly #writes = new KeyedQueue();
  readonly #known = new WeakMap<DeviceSession, Known>();

  constructor(context: Context, parts: AppCarrierParts) {
    this.#context = context;
    this.#parts = parts;
    this.#standings = new Gathering((ids) => readStandings(context, ids));
    this.#looks = new Looks({
      timing: parts.timing,
      log: context.log,
      step: (deviceId) => this.#step(deviceId),
      failed: 'The apps of a device could not be looked after',
    });
  }

  /** A device can be asked. */
  reachable(device: DeviceSession): void {
    if (hasApps(device)) this.#looks.look(device.identity.deviceId);
  }

  /** What a device is to have is something else than before, or may be. One that is away is told when it comes. */
  ordered(deviceIds: Iterable<string>): void {
    for (const deviceId of deviceIds) {
      const device = this.#parts.connections.reach(deviceId);
      if (device === undefined || !hasApps(device)) continue;
      const known = this.#known.get(device);
      if (known !== undefined) known.version += 1;
      this.#looks.look(deviceId);
    }
  }

  /** Nobody knows which devices it concerns. */
  orderedAll(): void {
    this.ordered(Array.from(this.#parts.connections, ({ identity }) => identity.deviceId));
  }

  async #step(deviceId: string): Promise<string | undefined> {
    const device = this.#parts.connections.reach(deviceId);
    if (device === undefined || !hasApps(device)) return undefined;
    const known = this.#knownOf(device);
    const going = () => !this.#looks.stopped && !device.over;
    try {
      const { version } = known;
      if (known.standing?.version !== version) {
        const of = await persistently(() => this.#standings.ask(deviceId), going);
        if (of === undefined) return undefined;
        known.standing = { version, of };
      }
      return await this.#advance(known, known.standing.of);
    } catch (error) {
      if (!going()) return undefined;
      const failure = toFailure(error);
      if (!(failure instanceof RequestFailure) && !isPassing(error)) throw error;
      return failure instanceof RequestFailure
        ? `${failure.error} ${failure.message}`
        : 'the database is away';
    }
  }

  #knownOf(device: DeviceSession): Known {
    const known = this.#known.get(device);
    if (known !== undefined) return known;
    const fresh: Known = {
      device,
      version: 0,
      standing: undefined,
      held: undefined,
      refused: undefined,
      observations: [],
      observed: false,
      tells: false,
      told: {},
      releases: [],
      apps: [],
      written: undefined,
      writtenAt: 0,
      warned: false,
    };
    this.#known.set(device, fresh);
    return fresh;
  }

  async #advance(known: Known, { orders, report }: Standing): Promise<string | undefined> {
    const { deviceId } = known.device.identity;
    const { againMs } = this.#parts.timing;
    known.written ??= report;
    this.#read(known);
    const now = this.#context.now();
    const { text: wanted, leftOut } = composeDesired(orders);
    const { refused, held, observed, tells, releases } = known;
    const step = planApps({
      ...{ wanted, held, observed, tells, releases },
      refused: refused !== undefined && now - refused.at < againMs ? refused.text : undefined,
      unwritten: this.#isUnwritten(known, now),
    });
    switch (step) {
      case 'read':
        known.held = await this.#readHeld(known);
        break;
      case 'write':
        if (leftOut.size > 0)
          this.#context.log.warn('Not all apps that a device is to have fit into what it is told', {
            deviceId,
            teams: [...leftOut],
          });
        await this.#tell(known, wanted);
        break;
      case 'observe':
        await this.#observe(known);
        break;
      case 'store':
        await this.#store(known, now);
        // At the pace of looks, whatever the device says meanwhile.
        return `stored ${now}`;
      case 'look':
        await this.#ask(known);
        return JSON.stringify(known.releases);
      case 'later':
        return step;
      case 'rest':
        return undefined;
    }
    // What comes next need not wait.
    this.#looks.look(deviceId);
    return step;
  }

  async #readHeld({ device }: Known): Promise<string> {
    const [node] = await device.read(desiredPath, { signal: this.#looks.limit() });
    return typeof node?.value === 'string' ? node.value : '';
  }

  async #tell(known: Known, wanted: string): Promise<void> {
    const { device } = known;
    const { deviceId } = device.identity;
    this.#context.log.info('Tells a device which apps it is to have', { deviceId, apps: wanted });
    try {
      await device.write(desiredPath, wanted, { signal: this.#looks.limit() });
    } catch (error) {
      const failure = toFailure(error);
      // What it answered with 4.xx it would answer again.
      if (!(failure instanceof RequestFailure) || failure.status >= 500 || failure.status === 429)
        throw error;
      known.refused = { text: wanted, at: this.#context.now() };
      await this.#parts.reports.setProblem(
        deviceId,
        storable(`The device does not take what it is to have: ${failure.message}`, 500),
      );
      return;
    }
    known.held = wanted;
    known.refused = undefined;
    await this.#parts.reports.setProblem(deviceId, '');
  }

  async #observe(known: Known): Promise<void> {
    const { device } = known;
    const { deviceId } = device.identity;
    const observe = async (path: Path, keep: (answer: Lwm2mResponse) => void): Promise<Observation> => {
      const observation = await device.observe(
        path,
        (notification) => {
          if (device.over) return;
          // RFC 7641 §4.2: an error ends the observation.
          if (notification.ok) keep(notification);
          else known.observed = false;
          this.#looks.soon(deviceId);
        },
        { signal: this.#looks.limit() },
      );
      known.observations.push(observation);
      keep(observation.first.check());
      return observation;
    };
    for (const observation of known.observations.splice(0)) await observation.cancel().catch(() => undefined);
    const releases = await observe(releasesPath, (answer) => (known.told.releases = answer));
    const apps = await observe(appsPath, (answer) => (known.told.apps = answer));
    known.tells = releases.accepted && apps.accepted;
    known.observed = true;
  }

  /** For a device that does not tell by itself as it should. */
  async #ask(known: Known): Promise<void> {
    const { device } = known;
    this.#take(
      known,
      await device.read(releasesPath, { signal: this.#looks.limit() }),
      await device.read(appsPath, { signal: this.#looks.limit() }),
    );
  }

  /** Reads what the device told by itself. Throws what an answer that cannot be read throws. */
  #read(known: Known): void {
    const { releases, apps } = known.told;
    known.told = {};
    this.#take(known, releases?.nodes(), apps?.nodes());
  }

  #take(known: Known, releases?: readonly Node[], apps?: readonly Node[]): void {
    const read = {
      releases: releases && readReleases(releases),
      apps: apps && readApps(apps, this.#context.now()),
    };
    known.releases = read.releases?.found ?? known.releases;
    known.apps = read.apps?.found ?? known.apps;
    const leftOut = (read.releases?.leftOut ?? 0) + (read.apps?.leftOut ?? 0);
    if (leftOut === 0 || known.warned) return;
    known.warned = true;
    const { deviceId } = known.device.identity;
    this.#context.log.warn('Some of what a device says of its apps cannot be read', { deviceId, leftOut });
  }

  #isUnwritten(known: Known, now: number): boolean {
    const { releases, apps, written = emptyReport, writtenAt } = known;
    const figures = now - writtenAt >= figuresMs;
    return known.observed && !sameReport({ releases, apps }, written, { figures });
  }

  async #store(known: Known, now: number): Promise<void> {
    const { deviceId } = known.device.identity;
    const report = { releases: known.releases, apps: known.apps };
    const lane = String(Number.parseInt(deviceId.slice(-2), 16) % lanes);
    await this.#writes.run(lane, () => this.#parts.reports.write(deviceId, report));
    known.written = report;
    known.writtenAt = now;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looks[Symbol.asyncDispose]();
  }
}

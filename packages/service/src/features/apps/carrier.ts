// SPDX-License-Identifier: Apache-2.0
import type { AppReleaseStatus, AppStatus } from '@mbl/formats';
import { type Lwm2mResponse, mblAppsModel, type Node, type Observation, type Path } from '@mbl/lwm2m';
import type { Context } from '../../context.ts';
import { isPassing, storable } from '../../infra/database.ts';
import { Gathering } from '../../infra/gathering.ts';
import { KeyedQueue } from '../../infra/keyed-queue.ts';
import { persistently } from '../../infra/persistently.ts';
import type { Reachable } from '../requests/device-requests.ts';
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
export function hasApps(device: Reachable): boolean {
  return device.paths.some(([id, instance = 0]) => id === object && instance === 0);
}

export interface AppCarrierParts {
  readonly reports: AppReports;
  /** The registration of a device that is connected and registered at this moment. */
  readonly reach: (deviceId: string) => Reachable | undefined;
  readonly timing: LookTiming;
}

/** What is known of a device since it registered, or came over another connection. */
interface Session {
  readonly device: Reachable;
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
  readonly #sessions = new Map<string, Session>();

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

  /** A device has registered, or came over another connection: what was observed before is over. */
  reachable(device: Reachable): void {
    const { deviceId } = device.identity;
    this.gone(deviceId);
    if (hasApps(device)) this.#looks.look(deviceId);
  }

  /** The registration of a device ended. */
  gone(deviceId: string): void {
    const session = this.#sessions.get(deviceId);
    if (session === undefined) return;
    this.#sessions.delete(deviceId);
    // On the same connection it would go on. A device that is gone has forgotten by itself.
    for (const observation of session.observations) void observation.cancel().catch(() => undefined);
  }

  /** What a device is to have is something else than before, or may be. One that is away is told when it comes. */
  ordered(deviceIds: Iterable<string>): void {
    for (const deviceId of deviceIds) {
      const device = this.#parts.reach(deviceId);
      if (device === undefined || !hasApps(device)) continue;
      const session = this.#sessions.get(deviceId);
      if (session !== undefined) session.version += 1;
      this.#looks.look(deviceId);
    }
  }

  /** Nobody knows which devices it concerns. */
  orderedAll(): void {
    this.ordered([...this.#sessions.keys()]);
  }

  async #step(deviceId: string): Promise<string | undefined> {
    const device = this.#parts.reach(deviceId);
    if (device === undefined || !hasApps(device)) return undefined;
    const session = this.#sessionOf(device);
    const going = () => !this.#looks.stopped && this.#parts.reach(deviceId) === device;
    try {
      const { version } = session;
      if (session.standing?.version !== version) {
        const of = await persistently(() => this.#standings.ask(deviceId), going);
        if (of === undefined) return undefined;
        session.standing = { version, of };
      }
      return await this.#advance(session, session.standing.of);
    } catch (error) {
      if (!going()) return undefined;
      const failure = toFailure(error);
      if (!(failure instanceof RequestFailure) && !isPassing(error)) throw error;
      return failure instanceof RequestFailure
        ? `${failure.error} ${failure.message}`
        : 'the database is away';
    }
  }

  #sessionOf(device: Reachable): Session {
    const { deviceId } = device.identity;
    const known = this.#sessions.get(deviceId);
    if (known?.device === device) return known;
    this.gone(deviceId);
    const fresh: Session = {
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
    this.#sessions.set(deviceId, fresh);
    return fresh;
  }

  async #advance(session: Session, { orders, report }: Standing): Promise<string | undefined> {
    const { deviceId } = session.device.identity;
    const { againMs } = this.#parts.timing;
    session.written ??= report;
    this.#read(session);
    const now = this.#context.now();
    const { text: wanted, leftOut } = composeDesired(orders);
    const { refused, held, observed, tells, releases } = session;
    const step = planApps({
      ...{ wanted, held, observed, tells, releases },
      refused: refused !== undefined && now - refused.at < againMs ? refused.text : undefined,
      unwritten: this.#isUnwritten(session, now),
    });
    switch (step) {
      case 'read':
        session.held = await this.#readHeld(session);
        break;
      case 'write':
        if (leftOut.size > 0)
          this.#context.log.warn('Not all apps that a device is to have fit into what it is told', {
            deviceId,
            teams: [...leftOut],
          });
        await this.#tell(session, wanted);
        break;
      case 'observe':
        await this.#observe(session);
        break;
      case 'store':
        await this.#store(session, now);
        // At the pace of looks, whatever the device says meanwhile.
        return `stored ${now}`;
      case 'look':
        await this.#ask(session);
        return JSON.stringify(session.releases);
      case 'later':
        return step;
      case 'rest':
        return undefined;
    }
    // What comes next need not wait.
    this.#looks.look(deviceId);
    return step;
  }

  async #readHeld({ device }: Session): Promise<string> {
    const [node] = await device.read(desiredPath, { signal: this.#looks.limit() });
    return typeof node?.value === 'string' ? node.value : '';
  }

  async #tell(session: Session, wanted: string): Promise<void> {
    const { device } = session;
    const { deviceId } = device.identity;
    this.#context.log.info('Tells a device which apps it is to have', { deviceId, apps: wanted });
    try {
      await device.write(desiredPath, wanted, { signal: this.#looks.limit() });
    } catch (error) {
      const failure = toFailure(error);
      // What it answered with 4.xx it would answer again.
      if (!(failure instanceof RequestFailure) || failure.status >= 500 || failure.status === 429)
        throw error;
      session.refused = { text: wanted, at: this.#context.now() };
      await this.#parts.reports.setProblem(
        deviceId,
        storable(`The device does not take what it is to have: ${failure.message}`, 500),
      );
      return;
    }
    session.held = wanted;
    session.refused = undefined;
    await this.#parts.reports.setProblem(deviceId, '');
  }

  async #observe(session: Session): Promise<void> {
    const { device } = session;
    const { deviceId } = device.identity;
    const observe = async (path: Path, keep: (answer: Lwm2mResponse) => void): Promise<Observation> => {
      const observation = await device.observe(
        path,
        (notification) => {
          if (this.#sessions.get(deviceId) !== session) return;
          // RFC 7641 §4.2: an error ends the observation.
          if (notification.ok) keep(notification);
          else session.observed = false;
          this.#looks.soon(deviceId);
        },
        { signal: this.#looks.limit() },
      );
      session.observations.push(observation);
      keep(observation.first.check());
      return observation;
    };
    for (const observation of session.observations.splice(0))
      await observation.cancel().catch(() => undefined);
    const releases = await observe(releasesPath, (answer) => (session.told.releases = answer));
    const apps = await observe(appsPath, (answer) => (session.told.apps = answer));
    session.tells = releases.accepted && apps.accepted;
    session.observed = true;
  }

  /** For a device that does not tell by itself as it should. */
  async #ask(session: Session): Promise<void> {
    const { device } = session;
    this.#take(
      session,
      await device.read(releasesPath, { signal: this.#looks.limit() }),
      await device.read(appsPath, { signal: this.#looks.limit() }),
    );
  }

  /** Reads what the device told by itself. Throws what an answer that cannot be read throws. */
  #read(session: Session): void {
    const { releases, apps } = session.told;
    session.told = {};
    this.#take(session, releases?.nodes(), apps?.nodes());
  }

  #take(session: Session, releases?: readonly Node[], apps?: readonly Node[]): void {
    const read = {
      releases: releases && readReleases(releases),
      apps: apps && readApps(apps, this.#context.now()),
    };
    session.releases = read.releases?.found ?? session.releases;
    session.apps = read.apps?.found ?? session.apps;
    const leftOut = (read.releases?.leftOut ?? 0) + (read.apps?.leftOut ?? 0);
    if (leftOut === 0 || session.warned) return;
    session.warned = true;
    const { deviceId } = session.device.identity;
    this.#context.log.warn('Some of what a device says of its apps cannot be read', { deviceId, leftOut });
  }

  #isUnwritten(session: Session, now: number): boolean {
    const { releases, apps, written = emptyReport, writtenAt } = session;
    const figures = now - writtenAt >= figuresMs;
    return session.observed && !sameReport({ releases, apps }, written, { figures });
  }

  async #store(session: Session, now: number): Promise<void> {
    const { deviceId } = session.device.identity;
    const report = { releases: session.releases, apps: session.apps };
    const lane = String(Number.parseInt(deviceId.slice(-2), 16) % lanes);
    await this.#writes.run(lane, () => this.#parts.reports.write(deviceId, report));
    session.written = report;
    session.writtenAt = now;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#looks[Symbol.asyncDispose]();
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a device and its service say to each other about apps, as JSON in resources of object 33402. Both sides read what the other one wrote with
// these readers: bounded, and what they do not know is left out.

import { type AppReason, isAppReason } from './app-reasons.ts';
import { appWord, isAppName } from './app-rules.ts';
import { type JsonRecord, readRecord } from './record.ts';
import { isReleaseName, isTeam } from './release.ts';
import { isUpdateReason, type UpdateReason } from './update-reasons.ts';

/** A release of a team's apps that a device is to have. */
export interface DesiredRelease {
  readonly team: string;
  readonly release: string;
  /** URL of the repository; where it is missing, the service's own. */
  readonly repository?: string;
}

/** All apps that a device is to have: a team that is not named has none. The unit that switches is a team's release. */
export interface DesiredApps {
  readonly version: 1;
  readonly releases: readonly DesiredRelease[];
}

export const appReleaseStates = [
  /** Something keeps it away, and is tried again: `reason`. */
  'waits',
  'fetching',
  'installing',
  /** Its apps run, and are not all healthy yet. */
  'trying',
  'running',
  /** What ran before runs again: `reason`. */
  'fell-back',
  /** It will not be tried again by itself: `reason`. */
  'refused',
  'removing',
] as const;

/** How the release that a team is to have stands. */
export interface AppReleaseStatus {
  readonly team: string;
  /** The one that is meant. */
  readonly release: string;
  /** The one whose apps run; '' where none does. */
  readonly running: string;
  readonly state: (typeof appReleaseStates)[number];
  readonly reason: AppReason | UpdateReason | '';
  /** One sentence; may be ''. */
  readonly detail: string;
  /** Bytes on the wire so far, and all that it takes; 0 where that is not known. */
  readonly fetched: number;
  readonly toFetch: number;
}

export const appStates = ['starting', 'running', 'unhealthy', 'restarting', 'stopped', 'failed'] as const;

/** How an app that is installed does. */
export interface AppStatus {
  readonly name: string;
  readonly team: string;
  readonly release: string;
  /** Of the app. */
  readonly version: string;
  readonly state: (typeof appStates)[number];
  /** Milliseconds since 1970 in which it is in this state; 0 without a clock. */
  readonly since: number;
  /** How often it was started again by itself since it was started. */
  readonly restarts: number;
  /** Bytes; 0 where it does not run. */
  readonly memory: number;
  /** Why it is not well, or ended last. */
  readonly reason: AppReason | '';
  readonly detail: string;
}

export const appActions = ['start', 'stop', 'restart', 'rollback', 'log', 'run'] as const;

/** Something to be done once. The answer with the same `id` says how it went. */
export interface AppAsk {
  /** 16 hex digits, by who asks. */
  readonly id: string;
  readonly action: (typeof appActions)[number];
  /** An app; with `rollback` a team: its release before this one runs again. */
  readonly name: string;
  /** `run`: program and arguments, in the app's own container. */
  readonly command?: readonly string[];
  /** `run`: seconds until it is killed. */
  readonly timeout?: number;
  /** `log`: lines after this cursor; without one the last `lines`. */
  readonly cursor?: string;
  readonly lines?: number;
}

export interface AppLogLine {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly text: string;
}

export interface AppAnswer {
  readonly id: string;
  /** '' where it went well, else a sentence. */
  readonly error: string;
  /** `run`: how the program ended, and what it wrote (both streams, the first 8 KiB). */
  readonly exit?: number;
  readonly output?: string;
  /** `log` */
  readonly cursor?: string;
  readonly log?: readonly AppLogLine[];
}

/** Bytes of the document by which `mbl-platformd` hands a release on: the app manager has eight times as much memory. */
export const maxAppOrder = 8 << 20;
/** Characters of the documents. */
export const maxDesiredApps = 8192;
export const maxAppStatus = 2048;
export const maxAppAsk = 4096;
export const maxAppAnswer = 32_768;
export const mostDesiredReleases = 32;
export const mostLogLines = 200;
export const mostRunOutput = 8192;

const askId = /^[0-9a-f]{16}$/;
const anyText = /^[^\p{Cc}]*$/u;
const output = /^[^]*$/;

/** Throws `formats/bad-desired-apps`. */
export function parseDesiredApps(text: string): DesiredApps {
  const json = readRecord(text, {
    path: 'desired apps',
    code: 'formats/bad-desired-apps',
    most: maxDesiredApps,
  });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const releases = json.objects('releases', mostDesiredReleases).map(readDesired);
  const teams = new Set(releases.map(({ team }) => team));
  if (teams.size < releases.length) throw json.fail('a team may have one release');
  return { version: 1, releases };
}

export function formatDesiredApps({ releases }: DesiredApps): string {
  return JSON.stringify({ version: 1, releases });
}

function readDesired(json: JsonRecord): DesiredRelease {
  const [team, release] = [json.string('team'), json.string('release')];
  if (!isTeam(team)) throw json.fail('"team" is no name of a team');
  if (!isReleaseName(release)) throw json.fail('"release" is no name of a release');
  if (json.is('repository', undefined)) return { team, release };
  const repository = json.string('repository', undefined, 1024);
  const url = URL.parse(repository);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw json.fail('"repository" must be a URL of http or https');
  return { team, release, repository };
}

/** Throws `formats/bad-app-status`. */
export function parseAppReleaseStatus(text: string): AppReleaseStatus {
  const json = status(text);
  const state = appReleaseStates.find((word) => json.is('state', word));
  if (state === undefined) throw json.fail('"state" is unknown');
  const reason = json.string('reason', anyText);
  return {
    team: json.string('team', appWord),
    release: json.string('release'),
    running: json.string('running', anyText),
    state,
    reason: reason === '' || isUpdateReason(reason) || isAppReason(reason) ? reason : 'app/failed',
    detail: json.string('detail', anyText, 1024),
    fetched: json.integer('fetched'),
    toFetch: json.integer('toFetch'),
  };
}

/** Throws `formats/bad-app-status`. */
export function parseAppStatus(text: string): AppStatus {
  const json = status(text);
  const state = appStates.find((word) => json.is('state', word));
  if (state === undefined) throw json.fail('"state" is unknown');
  const name = json.string('name');
  if (!isAppName(name)) throw json.fail('"name" is no name of an app');
  const reason = json.string('reason', anyText);
  return {
    name,
    team: json.string('team', appWord),
    release: json.string('release'),
    version: json.string('version'),
    state,
    since: json.integer('since'),
    restarts: json.integer('restarts'),
    memory: json.integer('memory'),
    reason: reason === '' || isAppReason(reason) ? reason : 'app/failed',
    detail: json.string('detail', anyText, 1024),
  };
}

function status(text: string): JsonRecord {
  return readRecord(text, { path: 'status of apps', code: 'formats/bad-app-status', most: maxAppStatus });
}

/** Throws `formats/bad-app-ask`. */
export function parseAppAsk(text: string): AppAsk {
  const json = readRecord(text, { path: 'order to an app', code: 'formats/bad-app-ask', most: maxAppAsk });
  const action = appActions.find((word) => json.is('action', word));
  if (action === undefined) throw json.fail(`"action" must be one of ${appActions.join(', ')}`);
  const name = json.string('name', appWord);
  if (!(action === 'rollback' ? isTeam(name) : isAppName(name))) throw json.fail('nobody can have that name');
  const ask = { id: json.string('id', askId), action, name };
  if (action === 'run') {
    const command = json.strings('command', 64, 1024);
    if (command.length === 0) throw json.fail('"command" is empty');
    return { ...ask, command, timeout: json.is('timeout', undefined) ? 30 : json.integer('timeout', 300) };
  }
  if (action !== 'log') return ask;
  return {
    ...ask,
    lines: json.is('lines', undefined) ? mostLogLines : json.integer('lines', mostLogLines),
    ...(json.is('cursor', undefined) ? {} : { cursor: json.string('cursor') }),
  };
}

/** Throws `formats/bad-app-answer`. */
export function parseAppAnswer(text: string): AppAnswer {
  const json = readRecord(text, {
    path: 'answer of an app',
    code: 'formats/bad-app-answer',
    most: maxAppAnswer,
  });
  const absent = (name: string) => json.is(name, undefined);
  return {
    id: json.string('id', askId),
    error: json.string('error', anyText, 1024),
    ...(absent('exit') ? {} : { exit: json.integer('exit', 255) }),
    ...(absent('output') ? {} : { output: json.string('output', output, mostRunOutput) }),
    ...(absent('cursor') ? {} : { cursor: json.string('cursor', anyText) }),
    ...(absent('log')
      ? {}
      : {
          log: json.objects('log', mostLogLines).map((line) => ({
            time: line.integer('time'),
            text: line.string('text', output, 4096),
          })),
        }),
  };
}

// SPDX-License-Identifier: Apache-2.0
import {
  appNameRule,
  appPathRule,
  appVersionPattern,
  appWord,
  isAppDevice,
  isAppName,
  isAppPath,
  isAppVariable,
  isBusName,
  isResourcePath,
  portProblem,
  resourceProblem,
  volumeProblem,
} from './app-rules.ts';
import { type JsonRecord, readRecord } from './record.ts';
import type { ReleaseFile } from './release.ts';

/** The erofs of an app: what the device mounts, and what it holds it against. */
export interface AppImage extends ReleaseFile {
  /** The fs-verity digest (SHA-256, blocks of 4096 bytes, no salt), 64 hex digits: what `FS_IOC_MEASURE_VERITY` has to give. */
  readonly fsVerity: string;
}

/** A port that the app serves, and asks to have published on the device's addresses. */
export interface AppPort {
  readonly name: string;
  /** Inside. */
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** On the device. */
  readonly published: number;
}

/** A folder that outlives the app's versions. */
export interface AppVolume {
  readonly name: string;
  /** Absolute, where the app sees it. */
  readonly path: string;
  /** Bytes and files that it may hold. */
  readonly size: number;
  readonly files: number;
}

export const resourceTypes = [
  'string',
  'integer',
  'unsigned-integer',
  'float',
  'boolean',
  'opaque',
  'time',
  'object-link',
  'none',
] as const;
export const resourceOperations = ['read', 'write', 'execute'] as const;

/** A resource that the app means to have in the cloud (LwM2M Core 1.1 §7.2). */
export interface AppResource {
  /** `/object/instance/resource`. */
  readonly path: string;
  readonly type: (typeof resourceTypes)[number];
  readonly operations: readonly (typeof resourceOperations)[number][];
}

export interface AppHealth {
  readonly command: readonly string[];
  /** Seconds between two runs; seconds that one may take; how many must fail in a row; seconds after a start that do not count. */
  readonly interval: number;
  readonly timeout: number;
  readonly failures: number;
  readonly grace: number;
}

/** `app.json`: all that a device has to know of an app, beside its image. */
export interface AppDescription {
  readonly version: 1;
  readonly name: string;
  /** The version of the app, for people. */
  readonly release: string;
  readonly summary: string;
  readonly architecture: 'arm64';
  readonly image: AppImage;
  readonly command: readonly string[];
  /** `NAME=value`. */
  readonly environment: readonly string[];
  /** Absolute. */
  readonly workingDirectory: string;
  /**
   * `one`: the image's files all belong to 0, which the device maps onto the app's one user. `several`: files and process have the numbers of
   * the image, which the device maps onto a range of 65,536.
   */
  readonly users: 'one' | 'several';
  /** Who the process is, by the image's numbers; 0 where there is one user. */
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  readonly stop: { readonly signal: string; readonly grace: number };
  readonly permissions: {
    readonly network: 'none' | 'outbound';
    readonly ports: readonly AppPort[];
    /** Below `/dev`. */
    readonly devices: readonly string[];
    readonly bus: { readonly talk: readonly string[]; readonly own: readonly string[] };
  };
  readonly limits: {
    /** Bytes; per cent of one core; processes and threads. */
    readonly memory: number;
    readonly cpu: number;
    readonly processes: number;
    /** Bytes a second. */
    readonly read: number;
    readonly write: number;
    /** Lines of log in 30 seconds. */
    readonly log: number;
  };
  /** Seconds: the first pause before a restart, and the longest. */
  readonly restart: {
    readonly when: 'always' | 'on-failure' | 'never';
    readonly delay: number;
    readonly longest: number;
  };
  readonly health?: AppHealth;
  readonly volumes: readonly AppVolume[];
  readonly resources: readonly AppResource[];
  /** Apps that start before; the least version of the operating system. */
  readonly after: readonly string[];
  readonly os?: string;
}

export const maxAppBytes = 128 * 1024;
/** Paths that the device mounts over; every app's image has them. */
export const appMountPoints = {
  folders: ['dev', 'proc', 'run', 'sys', 'tmp'],
  files: ['etc/hostname', 'etc/hosts', 'etc/resolv.conf'],
} as const;

const hash = /^[0-9a-f]{64}$/;
/** 65,535 is no user where ids have 16 bits. */
const highestId = 65_534;

/** `app.json` as text: members sorted by who writes them, the same bytes for the same app. */
export function formatApp(app: AppDescription): string {
  return `${JSON.stringify(app, null, 2)}\n`;
}

/** Reads `app.json`. `path` is for messages. What it does not know it leaves out. Throws `formats/bad-app`. */
export function parseApp(text: string, path: string): AppDescription {
  const json = readRecord(text, { path, code: 'formats/bad-app', most: maxAppBytes });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  if (!json.is('architecture', 'arm64')) throw json.fail('"architecture" must be "arm64"');
  const name = json.string('name');
  if (!isAppName(name)) throw json.fail(`"name" must be ${appNameRule}`);
  const image = json.object('image');
  const user = json.object('user');
  const stop = json.object('stop');
  const users = json.is('users', 'several') ? 'several' : 'one';
  if (!json.is('users', users)) throw json.fail('"users" must be "one" or "several"');
  const limits = json.object('limits');
  // 0 would be no limit in some places.
  const limit = (member: string, most?: number) => {
    const value = limits.integer(member, most);
    if (value === 0) throw json.fail(`"limits.${member}" must be more than 0`);
    return value;
  };
  const app: AppDescription = {
    version: 1,
    name,
    release: json.string('release', appVersionPattern),
    summary: json.string('summary', /^[^\p{Cc}]*$/u, 200),
    architecture: 'arm64',
    image: {
      file: image.string('file', /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/),
      size: image.integer('size'),
      sha256: image.string('sha256', hash),
      fsVerity: image.string('fsVerity', hash),
    },
    command: commandOf(json),
    environment: json.strings('environment', 256, 4096),
    workingDirectory: pathOf(json, 'workingDirectory'),
    users,
    user: {
      uid: user.integer('uid', highestId),
      gid: user.integer('gid', highestId),
      groups: user.integers('groups', 32, highestId),
    },
    stop: { signal: stop.string('signal', /^SIG[A-Z0-9+]{1,12}$/), grace: stop.integer('grace', 600) },
    permissions: readPermissions(json.object('permissions')),
    limits: {
      memory: limit('memory'),
      cpu: limit('cpu', 6400),
      processes: limit('processes', 4096),
      read: limit('read'),
      write: limit('write'),
      log: limit('log', 100_000),
    },
    restart: readRestart(json.object('restart')),
    ...(json.is('health', undefined) ? {} : { health: readHealth(json.object('health')) }),
    volumes: json.objects('volumes', 32).map((one) => ({
      name: one.string('name', appWord),
      path: pathOf(one, 'path'),
      size: one.integer('size'),
      files: one.integer('files'),
    })),
    resources: json.objects('resources', 1024).map(readResource),
    after: json.strings('after', 64).map((one) => {
      if (!isAppName(one)) throw json.fail(`"after" must hold names of apps`);
      return one;
    }),
    ...(json.is('os', undefined) ? {} : { os: json.string('os', appVersionPattern) }),
  };
  const problem = problemOf(app);
  if (problem !== undefined) throw json.fail(problem);
  return app;
}

/** What no single member can tell. */
function problemOf({
  users,
  user,
  environment,
  permissions: { ports },
  volumes,
  resources,
}: AppDescription): string | undefined {
  if (users === 'one' && (user.uid !== 0 || user.gid !== 0 || user.groups.length > 0))
    return '"user" must be 0 where there is one user';
  const variable = environment.find(
    (one) => !isAppVariable(one.split('=', 1)[0] ?? '') || !one.includes('='),
  );
  if (variable !== undefined) return '"environment" must hold NAME=value';
  return (
    firstProblem(volumes, volumeProblem) ??
    firstProblem(ports, portProblem) ??
    firstProblem(resources, resourceProblem)
  );
}

function firstProblem<T>(
  all: readonly T[],
  problem: (one: T, before: readonly T[]) => string | undefined,
): string | undefined {
  for (const [i, one] of all.entries()) {
    const found = problem(one, all.slice(0, i));
    if (found !== undefined) return found;
  }
  return undefined;
}

function commandOf(json: JsonRecord): string[] {
  const command = json.strings('command', 256, 4096);
  if (command.length === 0) throw json.fail('"command" must not be empty');
  return command;
}

function pathOf(json: JsonRecord, member: string): string {
  const path = json.string(member, undefined, 1024);
  if (!isAppPath(path)) throw json.fail(`"${member}" must be ${appPathRule}`);
  return path;
}

function readPermissions(json: JsonRecord): AppDescription['permissions'] {
  const network = json.is('network', 'outbound') ? 'outbound' : 'none';
  if (!json.is('network', network)) throw json.fail('"network" must be "none" or "outbound"');
  const bus = json.object('bus');
  const busNames = (member: string) =>
    bus.strings(member, 32).map((one) => {
      if (!isBusName(one)) throw json.fail(`"${member}" must hold names of a bus`);
      return one;
    });
  return {
    network,
    ports: json.objects('ports', 64).map((one) => {
      const protocol = one.is('protocol', 'udp') ? 'udp' : 'tcp';
      if (!one.is('protocol', protocol)) throw json.fail('"protocol" must be "tcp" or "udp"');
      const [port, published] = [one.integer('port', 65_535), one.integer('published', 65_535)];
      if (port === 0 || published === 0) throw json.fail('a port is a number from 1');
      return { name: one.string('name', appWord), port, protocol, published };
    }),
    devices: json.strings('devices', 32).map((one) => {
      if (!isAppDevice(one)) throw json.fail('"devices" must be below /dev');
      return one;
    }),
    bus: { talk: busNames('talk'), own: busNames('own') },
  };
}

function readRestart(json: JsonRecord): AppDescription['restart'] {
  const when = (['always', 'on-failure', 'never'] as const).find((word) => json.is('when', word));
  if (when === undefined) throw json.fail('"when" must be "always", "on-failure" or "never"');
  return { when, delay: json.integer('delay', 3600), longest: json.integer('longest', 86_400) };
}

function readHealth(json: JsonRecord): AppHealth {
  return {
    command: commandOf(json),
    interval: json.integer('interval', 86_400),
    timeout: json.integer('timeout', 3600),
    failures: json.integer('failures', 100),
    grace: json.integer('grace', 3600),
  };
}

export function readResource(json: JsonRecord): AppResource {
  const path = json.string('path');
  if (!isResourcePath(path)) throw json.fail('"path" must be /object/instance/resource in numbers');
  const type = resourceTypes.find((word) => json.is('type', word));
  if (type === undefined) throw json.fail(`"type" must be one of ${resourceTypes.join(', ')}`);
  const operations = json.strings('operations', 3).map((one) => {
    const operation = resourceOperations.find((word) => word === one);
    if (operation === undefined) throw json.fail(`"operations" must be of ${resourceOperations.join(', ')}`);
    return operation;
  });
  return { path, type, operations };
}

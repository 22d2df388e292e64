// SPDX-License-Identifier: Apache-2.0
import {
  appNameRule,
  appPathRule,
  appVersionRule,
  byName,
  duration,
  integer,
  appPlainPathRule,
  isAppDevice,
  isAppName,
  isAppPath,
  isAppPlainPath,
  isAppVersion,
  isBusName,
  isResourcePath,
  list,
  object,
  oneOf,
  optional,
  path,
  type RecipeNode,
  resourceOperations,
  resourceTypes,
  scalar,
  type Shape,
  size,
  text,
  type WholeOf,
} from '@mbl/formats';

/** A text that a function of `@mbl/formats` accepts, so that the file and `app.json` have one rule. */
function word(accepts: (text: string) => boolean, form: string): Shape<string, string> {
  return scalar((node: RecipeNode) => {
    const value = node.scalar();
    if (typeof value === 'string' && accepts(value)) return value;
    const quotes = typeof value === 'number' ? `Write it in quotes: "${value}".` : undefined;
    throw node.wrong(`must be ${form}, not ${node.describe()}`, quotes);
  });
}

const line = text(/^[^\p{Cc}]{1,4096}$/u, 'a line of text');
const command = list(line);
const place = word(isAppPath, appPathRule);
const appName = word(isAppName, appNameRule);
const busName = word(isBusName, 'a name of D-Bus, such as com.mbl.Cloud1');
const device = word(isAppDevice, 'a path below /dev');
const mebibyte = 1024 * 1024;

/** The keys of `app.yaml`. Each is explained in docs/reference/app-file.md. */
export const appFields = {
  name: appName,
  version: word(isAppVersion, appVersionRule),
  summary: optional(text(/^[^\p{Cc}]{1,200}$/u, 'a line of at most 200 characters')),
  source: object({
    image: optional(path()),
    root: optional(path()),
    containerfile: optional(path()),
    registry: optional(
      text(/^[a-z0-9][A-Za-z0-9._:/@-]{2,255}$/, 'a name in a registry, such as docker.io/library/nginx:1'),
    ),
    tag: optional(line),
  }),
  command: optional(command),
  environment: optional(byName(text(/^[^\p{Cc}]{0,4000}$/u, 'a line of text'))),
  workingDirectory: optional(place),
  users: optional(oneOf('one', 'several')),
  user: optional(
    text(
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?$/,
      'a user, or a user and a group with a colon between',
    ),
  ),
  stop: object({
    signal: optional(text(/^SIG[A-Z0-9+]{1,12}$/, 'a signal, such as SIGTERM')),
    grace: optional(duration(600)),
  }),
  permissions: object({
    network: optional(oneOf('none', 'outbound')),
    ports: optional(
      byName(
        object({
          port: integer(1, 65_535),
          protocol: optional(oneOf('tcp', 'udp')),
          published: optional(integer(1, 65_535)),
        }),
      ),
    ),
    devices: optional(list(device)),
    bus: object({ talk: optional(list(busName)), own: optional(list(busName)) }),
  }),
  limits: object({
    memory: optional(size()),
    cpu: optional(integer(1, 6400)),
    processes: optional(integer(1, 4096)),
    read: optional(size()),
    write: optional(size()),
    log: optional(integer(1, 100_000)),
  }),
  restart: object({
    when: optional(oneOf('always', 'on-failure', 'never')),
    delay: optional(duration(3600)),
    longest: optional(duration(86_400)),
  }),
  health: optional(
    object({
      command,
      interval: optional(duration(86_400)),
      timeout: optional(duration(3600)),
      failures: optional(integer(1, 100)),
      grace: optional(duration(3600)),
    }),
  ),
  volumes: optional(
    byName(
      object({
        path: word(isAppPlainPath, appPlainPathRule),
        size: optional(size()),
        files: optional(integer(1, 10_000_000)),
      }),
    ),
  ),
  resources: optional(
    list(
      object({
        path: word(isResourcePath, '/object/instance/resource in numbers'),
        type: oneOf(...resourceTypes),
        operations: list(oneOf(...resourceOperations)),
      }),
    ),
  ),
  after: optional(list(appName)),
  os: optional(word(isAppVersion, appVersionRule)),
};

/** `app.yaml` as it was read: what it leaves out comes from the image, or from `defaults`. */
export const appShape = object(appFields);
export type AppFile = WholeOf<typeof appShape>;

/** What holds where neither `app.yaml` nor the image says anything. */
export const defaults = {
  users: 'one',
  stop: { signal: 'SIGTERM', grace: 10 },
  network: 'none',
  protocol: 'tcp',
  limits: { memory: 64 * mebibyte, cpu: 50, processes: 64, read: 20_000_000, write: 5_000_000, log: 1000 },
  restart: { when: 'on-failure', delay: 1, longest: 60 },
  health: { interval: 30, timeout: 10, failures: 3, grace: 10 },
  volume: { size: 16 * mebibyte, files: 1024 },
} as const;

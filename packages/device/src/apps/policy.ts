// SPDX-License-Identifier: Apache-2.0
import {
  type AppDescription,
  duration,
  formatSize,
  integer,
  list,
  object,
  oneOf,
  optional,
  parseRecipe,
  size,
  text,
  type WholeOf,
} from '@mbl/formats';

const word = text(/^(?:\*|[a-z][a-z0-9-]{0,31})$/, 'a name, or "*" for every one');
const limits = object({
  memory: optional(size()),
  cpu: optional(integer(1, 6400)),
  processes: optional(integer(1, 4096)),
  read: optional(size()),
  write: optional(size()),
  log: optional(integer(1, 100_000)),
  volumes: optional(size()),
  grace: optional(duration(600)),
});

const shape = object({
  allow: list(
    object({
      team: word,
      app: optional(word),
      network: optional(oneOf('none', 'outbound')),
      ports: optional(list(text(/^\d{1,5}(?:-\d{1,5})?$/, 'a port, or two with a dash between'))),
      devices: optional(list(text(/^\/dev\/[A-Za-z0-9._@+/-]{1,200}$/, 'a path below /dev'))),
      talk: optional(list(text(/^[A-Za-z0-9_.-]{1,255}(?:\.\*)?$/, 'a name of the bus'))),
      own: optional(list(text(/^[A-Za-z0-9_.-]{1,255}(?:\.\*)?$/, 'a name of the bus'))),
      limits,
    }),
  ),
});

type Rule = WholeOf<typeof shape>['allow'][number];

/** What the owner of the device allows: an app may have what any rule that matches it allows. */
export interface AppPolicy {
  readonly rules: readonly Rule[];
}

type Ceilings = Record<keyof AppDescription['limits'] | 'volumes' | 'grace', number>;

/** What no rule has to allow. */
const everybody = {
  talk: ['com.mbl.Cloud1', 'com.mbl.Device1'],
  limits: {
    memory: 128 << 20,
    cpu: 100,
    processes: 256,
    read: 50_000_000,
    write: 20_000_000,
    log: 2000,
    volumes: 128 << 20,
    // As long a restart of the device waits for it, and whoever asks for its end.
    grace: 30,
  } satisfies Ceilings,
} as const;

/** Of files in the order of their names. Throws `formats/bad-recipe`. */
export function readPolicy(
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
): AppPolicy {
  const rules = files.flatMap(({ path, bytes }) => {
    const node = parseRecipe(path, bytes, 'the policy');
    return shape.complete(shape.read(node), node.at, '').allow;
  });
  return { rules };
}

/** The first thing that the app asks for and is not allowed, as the end of a sentence; undefined where all is allowed. */
export function notAllowed(policy: AppPolicy, team: string, app: AppDescription): string | undefined {
  const rules = policy.rules.filter(
    (rule) => matches(rule.team, team) && (rule.app === undefined || matches(rule.app, app.name)),
  );
  const { network, ports, devices, bus } = app.permissions;
  if (network !== 'none' && !rules.some((rule) => rule.network === network))
    return `the network (${network})`;
  for (const { published, protocol } of ports)
    if (!rules.some((rule) => rule.ports?.some((range) => inRange(range, published))))
      return `the port ${published}/${protocol}`;
  for (const device of devices)
    if (!rules.some((rule) => rule.devices?.includes(device))) return `the device ${device}`;
  const names = [
    ['talk', bus.talk, everybody.talk],
    ['own', bus.own, []],
  ] as const;
  for (const [what, wanted, always] of names)
    for (const name of wanted)
      if (![...always, ...rules.flatMap((rule) => rule[what] ?? [])].some((one) => covers(one, name)))
        return what === 'talk' ? `to talk to ${name}` : `the name ${name} of the bus`;
  return overLimit(rules, app);
}

function overLimit(rules: readonly Rule[], app: AppDescription): string | undefined {
  const volumes = app.volumes.reduce((sum, one) => sum + one.size, 0);
  const asked: Ceilings = { ...app.limits, volumes, grace: app.stop.grace };
  for (const name of Object.keys(everybody.limits) as (keyof Ceilings)[]) {
    const most = Math.max(everybody.limits[name], ...rules.map((rule) => rule.limits[name] ?? 0));
    if (asked[name] > most)
      return `${say(name, asked[name])} of ${titles[name]}, and may have ${say(name, most)}`;
  }
  return undefined;
}

const titles: Readonly<Record<keyof Ceilings, string>> = {
  memory: 'memory',
  cpu: 'a core',
  processes: 'processes',
  read: 'reading in a second',
  write: 'writing in a second',
  log: 'lines of log',
  volumes: 'volumes',
  grace: 'time to end',
};

function say(name: keyof Ceilings, value: number): string {
  if (name === 'cpu') return `${value} %`;
  if (name === 'grace') return `${value} s`;
  return name === 'processes' || name === 'log' ? String(value) : formatSize(value);
}

function matches(rule: string, name: string): boolean {
  return rule === '*' || rule === name;
}

function inRange(range: string, port: number): boolean {
  const [first = '', last = first] = range.split('-');
  return Number(first) <= port && port <= Number(last);
}

function covers(allowed: string, name: string): boolean {
  return allowed.endsWith('.*') ? name.startsWith(allowed.slice(0, -1)) : allowed === name;
}

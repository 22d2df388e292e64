// SPDX-License-Identifier: Apache-2.0
import type { Metadata, Root } from '@tufjs/models';
import { MblError } from '@mbl/trust';
import { isTeam, osTeam, teamRule } from '@mbl/formats';
import { teamPaths } from '../release/paths.ts';
import type { TufKey } from '../tuf/keys.ts';
import { type AnyMetadata, makeMetadata } from '../tuf/metadata.ts';
import { verifyDelegate } from '../tuf/trusted-metadata.ts';
import {
  keyEntry,
  kindOf,
  nextRoot,
  nextTargets,
  type RepositoryState,
  teamsOf,
  type TopRole,
  topRoles,
  unknownTeam,
} from './roles.ts';

/** How long each kind of metadata holds, in days; snapshot and timestamp are made anew at each signing. */
const lifetimes = { root: 730, targets: 365, snapshot: 30, timestamp: 30 } as const;

const specVersion = '1.0.31';

type Json = Record<string, unknown>;
type RoleJson = { keyids: string[]; threshold: number } & Json;

/** A file that a team vouches for. */
export interface NewTarget {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

/** The first root, with one key for each role; not signed yet. */
export function firstRoot(keys: Readonly<Record<TopRole, TufKey>>, now: Date): Metadata<Root> {
  return makeMetadata('root', {
    ...head('root', 1, now),
    keys: Object.fromEntries(topRoles.map((role) => keyEntry(keys[role]))),
    roles: Object.fromEntries(topRoles.map((role) => [role, { keyids: [keys[role].id], threshold: 1 }])),
    consistent_snapshot: true,
  });
}

/**
 * Stages the first root (`root`: the one that devices are born with, where there is one), and `targets` that lets the team `os` sign with
 * the key of `targets`.
 */
export function initialise(
  state: RepositoryState,
  keys: Readonly<Record<TopRole, TufKey>>,
  now: Date,
  root: Metadata<Root> = firstRoot(keys, now),
): void {
  state.staged.set('root', root);
  const os = {
    name: osTeam,
    keyids: [keys.targets.id],
    threshold: 1,
    terminating: true,
    paths: teamPaths(osTeam),
  };
  const targets = {
    ...head('targets', 1, now),
    targets: {},
    delegations: { keys: Object.fromEntries([keyEntry(keys.targets)]), roles: [os] },
  };
  state.staged.set('targets', makeMetadata('targets', targets));
}

/** Stages files of a team. One that is there under the same path must be the same. Throws `release/exists`, `release/unknown-team`. */
export function addTargets(
  state: RepositoryState,
  team: string,
  files: readonly NewTarget[],
  now: Date,
): void {
  // Before the first signing there is no root yet, and it names the team `os`.
  if (!teamsOf(state).includes(team) && (team !== osTeam || nextTargets(state) !== undefined))
    throw unknownTeam(team);
  stage(state, team, now, (signed) => {
    const targets = { ...(signed['targets'] as Json | undefined) };
    for (const { path, length, sha256 } of files) {
      const known = targets[path] as { hashes?: { sha256?: string } } | undefined;
      if (known !== undefined && known.hashes?.sha256 !== sha256)
        throw new MblError('release/exists', `There is another ${path} already.`, {
          remedy: 'Give the release another name: what is signed never changes.',
          details: { path },
        });
      targets[path] = { length, hashes: { sha256 } };
    }
    return { ...signed, targets };
  });
}

/** Stages that a team vouches for these paths no more. */
export function removeTargets(
  state: RepositoryState,
  team: string,
  paths: readonly string[],
  now: Date,
): void {
  stage(state, team, now, (signed) => {
    const targets = { ...(signed['targets'] as Json | undefined) };
    for (const path of paths) delete targets[path];
    return { ...signed, targets };
  });
}

/** What changes in who may sign a role. */
export interface RoleChange {
  readonly add?: readonly TufKey[];
  /** Ids, or the start of them. */
  readonly remove?: readonly string[];
  readonly threshold?: number | undefined;
}

/**
 * Stages a change of who may sign a role: of a top role in a new root, of a team in new `targets`. A team that is not there is added,
 * with its own folder and nothing else. Throws `release/bad-role`.
 */
export function changeRole(state: RepositoryState, role: string, change: RoleChange, now: Date): void {
  if ((topRoles as readonly string[]).includes(role)) {
    nextRoot(state);
    stage(state, 'root', now, (signed) => {
      const roles = { ...(signed['roles'] as Record<string, RoleJson>) };
      const keys = { ...(signed['keys'] as Json) };
      roles[role] = changed(role, roles[role] ?? { keyids: [], threshold: 1 }, keys, change);
      return { ...signed, roles, keys: used(keys, Object.values(roles)) };
    });
  } else {
    if (!isTeam(role)) throw badRole(role, `a team has another name: ${teamRule}`);
    nextRoot(state);
    stage(state, 'targets', now, (signed) => {
      const delegations = signed['delegations'] as { keys: Json; roles: RoleJson[] };
      const roles = [...delegations.roles];
      const keys = { ...delegations.keys };
      const at = roles.findIndex((one) => one['name'] === role);
      const before = roles[at] ?? {
        name: role,
        keyids: [],
        threshold: 1,
        terminating: true,
        paths: teamPaths(role),
      };
      roles[at < 0 ? roles.length : at] = changed(role, before, keys, change);
      return { ...signed, delegations: { ...delegations, keys: used(keys, roles), roles } };
    });
  }
  restage(state, now);
}

/**
 * Stages that a team may sign nothing any more: new `targets` without it and its keys. What it published stays in the snapshot (TUF 1.0.34 §5.5.5), and
 * nobody accepts it. Throws `release/unknown-team`, `release/bad-role` for the team of the operating system.
 */
export function removeTeam(state: RepositoryState, team: string, now: Date): void {
  if (team === osTeam || (topRoles as readonly string[]).includes(team))
    throw badRole(team, 'no repository is without it');
  nextRoot(state);
  if (!teamsOf(state).includes(team)) throw unknownTeam(team);
  state.staged.delete(team);
  stage(state, 'targets', now, (signed) => {
    const delegations = signed['delegations'] as { keys: Json; roles: RoleJson[] };
    const roles = delegations.roles.filter((one) => one['name'] !== team);
    return { ...signed, delegations: { ...delegations, keys: used(delegations.keys, roles), roles } };
  });
}

/** Stages every role of people anew as it is, so that it holds for another term. */
export function renew(state: RepositoryState, now: Date): void {
  for (const role of ['root', 'targets', ...teamsOf(state)])
    if (state.published.has(role)) stage(state, role, now, (signed) => signed);
}

/** Stages again, as it is, what the next root or the next `targets` would no longer accept: its people sign it anew. */
function restage(state: RepositoryState, now: Date): void {
  const again = (above: AnyMetadata, role: string) => {
    const published = state.published.get(role);
    if (published === undefined || state.staged.has(role)) return;
    try {
      verifyDelegate(above, role, published);
    } catch {
      stage(state, role, now, (signed) => signed);
    }
  };
  again(nextRoot(state), 'targets');
  const targets = nextTargets(state);
  if (targets !== undefined) for (const team of teamsOf(state)) again(targets, team);
}

/** Stages the next version of a role. What was staged of it is the start, and loses its signatures. */
function stage(state: RepositoryState, role: string, now: Date, change: (signed: Json) => Json): void {
  const kind = kindOf(role);
  const before = state.staged.get(role) ?? state.published.get(role);
  const version = (state.published.get(role)?.signed.version ?? 0) + 1;
  const signed = before === undefined ? { targets: {} } : (before.signed.toJSON() as Json);
  const next = change(signed);
  state.staged.set(role, makeMetadata(kind, { ...next, ...head(kind, version, now) }));
}

/** What all metadata starts with. */
export function head(
  kind: keyof typeof lifetimes,
  version: number,
  now: Date,
  days = lifetimes[kind] as number,
): Json {
  const expires = new Date(now.getTime() + days * 86_400_000).toISOString().replace(/\.\d+Z$/, 'Z');
  return { _type: kind, spec_version: specVersion, version, expires };
}

function changed(
  role: string,
  before: RoleJson,
  keys: Json,
  { add = [], remove = [], threshold }: RoleChange,
): RoleJson {
  const keyids = new Set(before.keyids);
  for (const start of remove) {
    const found = [...keyids].filter((id) => id.startsWith(start));
    if (found.length !== 1) throw badRole(role, `${found.length} of its keys start with "${start}"`);
    for (const id of found) keyids.delete(id);
  }
  for (const key of add) {
    keyids.add(key.id);
    keys[key.id] = key.json;
  }
  const next = { ...before, keyids: [...keyids], threshold: threshold ?? before.threshold };
  if (next.threshold < 1 || next.threshold > keyids.size)
    throw badRole(role, `it would need ${next.threshold} signatures of ${keyids.size} keys`);
  return next;
}

/** The keys that a role names. */
function used(keys: Json, roles: readonly RoleJson[]): Json {
  const ids = new Set(roles.flatMap(({ keyids }) => keyids));
  return Object.fromEntries(Object.entries(keys).filter(([id]) => ids.has(id)));
}

function badRole(role: string, why: string): MblError {
  return new MblError('release/bad-role', `The role ${role} cannot be changed like this: ${why}.`, {
    remedy: 'See who may sign with: ./mbl release show',
    details: { role },
  });
}

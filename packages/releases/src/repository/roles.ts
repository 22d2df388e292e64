// SPDX-License-Identifier: Apache-2.0
import type { Metadata, Root, Targets } from '@tufjs/models';
import { MblError } from '@mbl/trust';
import type { TufKey } from '../tuf/keys.ts';
import type { AnyMetadata, Kind, SignedOf } from '../tuf/metadata.ts';

/** The metadata of a repository by role; of `published` the newest of each. */
export interface RepositoryState {
  /** What clients get. */
  readonly published: Map<string, AnyMetadata>;
  /** The next version of a role, with the signatures that it has so far. */
  readonly staged: Map<string, AnyMetadata>;
}

/** The roles of every repository (TUF 1.0.34 §2.1). */
export const topRoles = ['root', 'targets', 'snapshot', 'timestamp'] as const;

export type TopRole = (typeof topRoles)[number];

/** Who may sign for a role, and how many of them must. */
export interface Authority {
  readonly keyIds: readonly string[];
  readonly threshold: number;
}

export function emptyState(): RepositoryState {
  return { published: new Map(), staged: new Map() };
}

export function kindOf(role: string): Kind {
  return role === 'root' || role === 'snapshot' || role === 'timestamp' ? role : 'targets';
}

/** The metadata of a role, if there is some. */
export function ofKind<K extends Kind>(
  roles: ReadonlyMap<string, AnyMetadata>,
  role: string,
  kind: K,
): Metadata<SignedOf[K]> | undefined {
  const metadata = roles.get(role);
  const type: Kind | undefined = metadata?.signed.type;
  return type === kind ? (metadata as Metadata<SignedOf[K]>) : undefined;
}

/** The root that will hold: the staged one, or the published one. Throws `release/no-repository`. */
export function nextRoot({ staged, published }: RepositoryState): Metadata<Root> {
  const root = ofKind(staged, 'root', 'root') ?? ofKind(published, 'root', 'root');
  if (root !== undefined) return root;
  throw new MblError('release/no-repository', 'This repository has no root yet: nobody may sign anything.', {
    remedy: 'Make it with the key set of the team: ./mbl release sign',
  });
}

/** The targets role that will hold, if there is one. */
export function nextTargets({ staged, published }: RepositoryState): Metadata<Targets> | undefined {
  return ofKind(staged, 'targets', 'targets') ?? ofKind(published, 'targets', 'targets');
}

/** Who may sign the next version of a role. For the root: whoever the next one names; those of the last one must agree too. */
export function authorityOf(state: RepositoryState, role: string): Authority {
  const found = (topRoles as readonly string[]).includes(role)
    ? nextRoot(state).signed.roles[role]
    : nextTargets(state)?.signed.delegations?.roles?.[role];
  if (found === undefined) throw unknownTeam(role);
  return { keyIds: found.keyIDs, threshold: found.threshold };
}

/** Teams in their order of trust, the team of the operating system first. */
export function teamsOf(state: RepositoryState): string[] {
  return Object.keys(nextTargets(state)?.signed.delegations?.roles ?? {});
}

/** The roles that a key may sign, in the present root or in the next one. */
export function rolesOf(state: RepositoryState, keyId: string): string[] {
  const before = ofKind(state.published, 'root', 'root')?.signed.roles ?? {};
  const roles = [...topRoles, ...teamsOf(state)].filter((role) =>
    authorityOf(state, role).keyIds.includes(keyId),
  );
  return before['root']?.keyIDs.includes(keyId) === true && !roles.includes('root')
    ? ['root', ...roles]
    : roles;
}

export function unknownTeam(team: string): MblError {
  return new MblError(
    'release/unknown-team',
    `The team "${team}" may not sign anything in this repository.`,
    {
      remedy: `Let it with: ./mbl release role ${team} --add-key FILE`,
      details: { team },
    },
  );
}

/** A key's members in the form that metadata holds. */
export function keyEntry({ id, json }: TufKey): [string, TufKey['json']] {
  return [id, json];
}

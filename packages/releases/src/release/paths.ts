// SPDX-License-Identifier: Apache-2.0
import { osTeam } from '@mbl/formats';

/** The folder below `targets/` that is a team's own. */
function teamFolder(team: string): string {
  return team === osTeam ? 'os' : `apps/${team}`;
}

/** The paths that a team may sign, as patterns of a delegation (TUF 1.0.34 §4.5). */
export function teamPaths(team: string): string[] {
  return [`${teamFolder(team)}/releases/*`, `${teamFolder(team)}/components/*/*`];
}

/** The path of a release's description. */
export function releasePath(team: string, name: string): string {
  return `${teamFolder(team)}/releases/${name}.json`;
}

/** Which release a path describes, if any. */
export function releaseOf(path: string): { team: string; name: string } | undefined {
  const match = /^(?:os|apps\/([^/]+))\/releases\/([^/]+)\.json$/.exec(path);
  return match?.[2] === undefined ? undefined : { team: match[1] ?? osTeam, name: match[2] };
}

/**
 * Where a copy map lies below `targets/`: by the root hash of what it makes, and of the root that an older release has. It is none of the targets:
 * what it says is found out when it is wrong.
 */
export function mapPath(team: string, rootHash: string, source: string): string {
  return `${teamFolder(team)}/maps/${rootHash}/${source}`;
}

/** Where the stream lies below `targets/` of what has that root hash. It is none of the targets, as copy maps are not. */
export function streamPath(team: string, rootHash: string): string {
  return `${teamFolder(team)}/streams/${rootHash}`;
}

/** The path of a component's file: by its content, so that two releases share what they have in common. */
export function componentPath(team: string, { sha256, file }: { sha256: string; file: string }): string {
  return `${teamFolder(team)}/components/${sha256}/${file}`;
}

// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { VerityHasher } from '@mbl/blocks';
import {
  maxReleaseBytes,
  parseRelease,
  type Release,
  type ReleaseComponent,
  type ReleaseFile,
  type ReleaseImage,
  type ReleasePayload,
} from '@mbl/formats';
import { type KeyProfile, MblError } from '@mbl/trust';
import type { Client, Target } from '../tuf/client.ts';
import { componentPath, releaseOf, releasePath } from './paths.ts';

/** The device that asks. */
export interface Board {
  readonly machine: string;
  /** What the keys are for that its boot chain trusts. */
  readonly keys: KeyProfile;
  /** The rollback index of the release that it accepted last; 0 for none. */
  readonly rollbackIndex: number;
}

/** A release that a board may install: nothing of it has been fetched yet. */
export interface AcceptedRelease {
  readonly release: Release;
  readonly image: ReleaseImage;
  readonly components: readonly AcceptedComponent[];
}

export interface AcceptedComponent {
  readonly component: ReleaseComponent;
  readonly target: Target;
  /** Of the file that it is made from; absent where it has none. */
  readonly payload?: Target;
}

/**
 * What makes a board accept a release. The metadata has been verified by `client`; the rest is here, in the order in which a release can
 * be wrong: it is there and its team vouches for it, it says what it is called, it is for the keys of this board, for its machine, not too
 * old, and each component is vouched for by the same team.
 *
 * Throws `release/unknown-release`, `release/mixed-up`, `release/wrong-keys`, `release/wrong-machine`, `release/too-old`,
 * `formats/bad-release`, and what `client` throws.
 */
export async function acceptRelease(
  client: Client,
  { team, name }: { readonly team: string; readonly name: string },
  board: Board,
): Promise<AcceptedRelease> {
  const { release, target } = await readRelease(client, team, name);
  if (release.keys !== board.keys)
    throw refuse(
      'release/wrong-keys',
      release,
      `its images are signed with ${release.keys} keys, and the board trusts ${board.keys} keys`,
    );
  const image = release.images.find(({ machine }) => machine === board.machine);
  if (image === undefined)
    throw refuse(
      'release/wrong-machine',
      release,
      `it is for ${release.images.map((one) => one.machine).join(', ')}, not for ${board.machine}`,
    );
  if (release.rollbackIndex < board.rollbackIndex)
    throw refuse(
      'release/too-old',
      release,
      `its rollback index is ${release.rollbackIndex}, and the board accepted ${board.rollbackIndex} before`,
    );
  const components: AcceptedComponent[] = [];
  for (const component of image.components) {
    const { payload } = component;
    components.push({
      component,
      target: await vouched(client, release, component, target.role),
      ...(payload && { payload: await vouched(client, release, payload, target.role) }),
    });
  }
  return { release, image, components };
}

/** A release that its team vouches for. */
export async function readRelease(
  client: Client,
  team: string,
  name: string,
): Promise<{ release: Release; target: Target }> {
  const path = releasePath(team, name);
  const target = await client.find(path);
  if (target === undefined)
    throw new MblError(
      'release/unknown-release',
      `The repository has no release ${name} of the team ${team}.`,
      {
        remedy: 'See what there is with: ./mbl release show',
        details: { team, name },
      },
    );
  const release = parseRelease(await readText(client, target, maxReleaseBytes), path);
  if (release.team !== team || release.name !== name)
    throw refuse('release/mixed-up', release, `it stands at the place of ${name} of the team ${team}`);
  return { release, target };
}

/** Every release of the repository, by name. */
export async function listReleases(client: Client): Promise<{ release: Release; target: Target }[]> {
  const found: { release: Release; target: Target }[] = [];
  for (const { path } of await client.list()) {
    const at = releaseOf(path);
    if (at !== undefined) found.push(await readRelease(client, at.team, at.name));
  }
  return found;
}

/** The file of a component, if the team that vouches for the release vouches for this very file. */
async function vouched(
  client: Client,
  release: Release,
  component: ReleaseFile,
  role: string,
): Promise<Target> {
  const path = componentPath(release.team, component);
  const target = await client.find(path);
  if (target === undefined || target.role !== role)
    throw refuse('release/mixed-up', release, `nobody of its team vouches for ${path}`);
  if (target.hashes.sha256 !== component.sha256 || target.length !== component.size)
    throw refuse('release/mixed-up', release, `${path} is another file`);
  return target;
}

/**
 * Reads every byte of a component and makes sure of it: size and digest, and of a verity image the root hash over its data and the tree.
 * `onBytes` gets the size of each piece. Throws `release/wrong-content`, `release/missing`, `release/too-large`.
 */
export async function checkComponent(
  client: Client,
  { component, target, payload }: AcceptedComponent,
  onBytes: (size: number) => void = () => undefined,
): Promise<void> {
  const { verity, file } = component;
  if (payload !== undefined && component.payload !== undefined)
    await checkPayload(client, payload, component.payload, onBytes);
  const hasher = verity === undefined ? undefined : new VerityHasher(Buffer.from(verity.salt, 'hex'));
  const tree: Uint8Array[] = [];
  let offset = 0;
  for await (const piece of client.read(target)) {
    const end = offset + piece.length;
    if (verity !== undefined && offset < verity.dataSize)
      hasher?.update(piece.subarray(0, verity.dataSize - offset));
    // The tree is a hundred and twentieth of the data.
    if (verity !== undefined && end > verity.hashOffset)
      tree.push(Buffer.from(piece.subarray(Math.max(0, verity.hashOffset - offset))));
    offset = end;
    onBytes(piece.length);
  }
  if (verity === undefined || hasher === undefined) return;
  const made = hasher.finish();
  if (made.rootHash !== verity.rootHash || !made.tree.equals(Buffer.concat(tree)))
    throw new MblError('release/wrong-content', `The hash tree of ${file} is not the one of its data.`, {
      remedy: 'Make the release again from its image.',
      details: { path: target.path },
    });
}

/** Reads every byte of the payload of a component, and its index. Throws as `checkComponent` does. */
export async function checkPayload(
  client: Client,
  target: Target,
  { indexSize, indexSha256, file }: ReleasePayload,
  onBytes: (size: number) => void,
): Promise<void> {
  const index = createHash('sha256');
  let left = target.length - indexSize;
  for await (const piece of client.read(target)) {
    index.update(piece.subarray(Math.min(piece.length, Math.max(0, left))));
    left -= piece.length;
    onBytes(piece.length);
  }
  if (index.digest('hex') === indexSha256) return;
  throw new MblError('release/wrong-content', `The index of ${file} is not the one that was signed.`, {
    remedy: 'Make the release again.',
    details: { path: target.path },
  });
}

/** A small file as text. */
export async function readText(client: Client, target: Target, most: number): Promise<string> {
  if (target.length > most)
    throw new MblError(
      'release/too-large',
      `${target.path} is longer than the ${most} bytes that it may have.`,
      {
        details: { name: target.path },
      },
    );
  const pieces: Uint8Array[] = [];
  for await (const piece of client.read(target)) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

function refuse(code: string, { team, name }: Release, why: string): MblError {
  return new MblError(code, `The release ${name} of the team ${team} is refused: ${why}.`, {
    details: { team, name },
  });
}

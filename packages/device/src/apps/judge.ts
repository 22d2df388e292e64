// SPDX-License-Identifier: Apache-2.0
import {
  type AppDescription,
  type AppReason,
  isReleaseName,
  isTeam,
  maxAppOrder,
  readRecord,
  type UpdateReason,
} from '@mbl/formats';
import { acceptApps, Client, memoryStore, type Source } from '@mbl/releases';
import type { KeyProfile } from '@mbl/trust';
import { reasonOf } from '../common/update-reason.ts';

/** A release with all the metadata that vouches for it: what `mbl-platformd` hands on, and what is kept of an installed one. */
export interface SignedApps {
  readonly team: string;
  readonly release: string;
  /** By their names in the repository; an empty one says that the repository has none. */
  readonly metadata: readonly { readonly name: string; readonly content: string }[];
}

/** What signed metadata says of a release. */
export interface JudgedRelease {
  readonly team: string;
  readonly release: string;
  readonly rollbackIndex: number;
  readonly apps: readonly AppDescription[];
}

export interface Refusal {
  readonly reason: AppReason | UpdateReason;
  readonly detail: string;
}

const mostFileBytes = 4 << 20;
const mostFiles = 1024;
/** Of the document: two for each file, and what is around them. */
const mostSignedValues = 8 * mostFiles;
const anything = /^[^]*$/;

/** Throws `device/bad-app-order`. */
export function parseSignedApps(text: string, path: string): SignedApps {
  const json = readRecord(text, {
    path,
    code: 'device/bad-app-order',
    most: maxAppOrder,
    values: mostSignedValues,
  });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const [team, release] = [json.string('team'), json.string('release')];
  if (!isTeam(team)) throw json.fail('"team" is no name of a team');
  if (!isReleaseName(release)) throw json.fail('"release" is no name of a release');
  const metadata = json.objects('metadata', mostFiles).map((one) => ({
    name: one.string('name', undefined, 1024),
    content: one.string('content', anything, mostFileBytes),
  }));
  return { team, release, metadata };
}

export function formatSignedApps({ team, release, metadata }: SignedApps): string {
  return `${JSON.stringify({ version: 1, team, release, metadata })}\n`;
}

export interface JudgeOptions {
  /** The root of releases in the signed root file system. */
  readonly root: Uint8Array;
  readonly keys: KeyProfile;
  /** The highest rollback index that was accepted of the team. */
  readonly rollbackIndex: number;
  /**
   * When the metadata has to hold. Undefined for what is installed already: a release that was judged with a clock does not stop running because
   * time goes on, nor because the clock is lost.
   */
  readonly now?: Date;
}

/** Judges a release by the root of the image. What came before is not believed: neither who handed it in, nor what is on the disk. */
export async function judgeApps(
  { team, release: name, metadata }: SignedApps,
  { root, keys, rollbackIndex, now = new Date(0) }: JudgeOptions,
): Promise<JudgedRelease | Refusal> {
  const files = new Map(metadata.map((one) => [one.name, one.content]));
  const source: Source = {
    open(path) {
      const content = files.get(path) ?? '';
      return Promise.resolve(content === '' ? undefined : pieces(content));
    },
  };
  try {
    const client = await Client.open({ root, source, store: memoryStore(), now });
    const { release, apps } = await acceptApps(client, { team, name }, { keys, rollbackIndex });
    return { team, release: name, rollbackIndex: release.rollbackIndex, apps: apps.map(({ app }) => app) };
  } catch (error) {
    return { reason: reasonOf(error), detail: error instanceof Error ? error.message : String(error) };
  }
}

// oxlint-disable-next-line require-await -- an iterable that is asynchronous by its type.
async function* pieces(content: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(content);
}

export function isRefusal(judged: JudgedRelease | Refusal): judged is Refusal {
  return 'reason' in judged;
}

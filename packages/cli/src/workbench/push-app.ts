// SPDX-License-Identifier: Apache-2.0
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppDescription } from '@mbl/formats';
import {
  addTargets,
  authorityOf,
  changeRole,
  composeApps,
  dropReleases,
  metadataSigner,
  releasesBefore,
  type MetadataSigner,
  type RepositoryState,
  teamsOf,
  tufKey,
} from '@mbl/releases';
import { loadKeys, MblError, openSigner } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { keysFolder, type Workspace } from '../workspace.ts';
import { editOwnRepository } from './own-repository.ts';
import { repositoryReleases } from './releases.ts';

export interface PushOptions {
  readonly team: string;
  /** Folders of packages, and what they hold. */
  readonly packages: readonly { readonly folder: string; readonly app: AppDescription }[];
  /** Its name; undefined: made of the packages, so that the same packages are the same release. */
  readonly release: string | undefined;
  /** The folder of the key set that signs; undefined: the workspace's own. */
  readonly keys: string | undefined;
  /** Releases that were made while an app is worked on: of these the last few are kept. */
  readonly passing: boolean;
  readonly notes: string;
}

export interface Pushed {
  readonly release: string;
  /** The team was made for it, with a key of its own in this file. */
  readonly newKey: string | undefined;
}

/** Of zstd: it stays on this machine, and is there in a second. */
const level = 3;
/** Devices that are being brought one of the last few are not left without it. */
const keptReleases = 5;
const passingNames = /^dev-[0-9a-f]{12}$/;

/**
 * Makes a release of packages in the workspace's own repository, which its service serves, signed with its keys. A team that is not there gets a key of its own.
 *
 * Throws `cli/no-team-key` where the team's key is elsewhere, and what `editOwnRepository` and `composeApps` throw.
 */
export async function pushApps(cli: Cli, options: PushOptions): Promise<Pushed> {
  const { workspace, environment } = cli;
  const { team, packages, passing, notes } = options;
  const keys = await loadKeys(keysFolder(workspace, options.keys), { environment: { ...environment } });
  return await editOwnRepository(cli, keys, async (state, folder, now) => {
    const { signer, newKey } = await teamSigner(workspace, state, team, now);
    const all = await repositoryReleases(folder, state);
    const own = all.filter(({ release }) => release.team === team).map(({ release }) => release);
    const name = options.release ?? nameOf(options);
    const there = own.find((release) => release.name === name);
    // The same name is the same packages; of a name that somebody gave, the packages decide.
    if (there !== undefined && options.release !== undefined) {
      const same =
        there.images.flatMap(({ components }) => components.map(({ sha256 }) => sha256)).join() ===
        packages.map(({ app }) => app.image.sha256).join();
      if (!same)
        throw new MblError('cli/release-taken', `${team} has a release ${name} with other apps.`, {
          remedy: 'Give it another name: --release NAME',
        });
    }
    if (there === undefined) {
      const { targets } = await composeApps({
        ...{ team, name, notes, level, repository: folder, signal: cli.signal },
        packages: packages.map((one) => one.folder),
        keys: keys.profile,
        rollbackIndex: Math.max(0, ...own.map(({ rollbackIndex }) => rollbackIndex)),
        before: releasesBefore(all, team, name),
      });
      addTargets(state, team, targets, now);
    }
    const unused = passing
      ? await dropReleases(folder, state, team, { names: passingNames, keep: keptReleases, now })
      : [];
    return { result: { release: name, newKey }, signers: [signer], unused };
  });
}

function nameOf({ packages, passing }: PushOptions): string {
  const hash = createHash('sha256');
  for (const { app } of packages) hash.update(JSON.stringify(app));
  const digest = hash.digest('hex').slice(0, 12);
  const [first] = packages;
  const version = (first?.app.release ?? '').replaceAll(/[^A-Za-z0-9._-]/g, '-').slice(0, 48);
  return passing ? `dev-${digest}` : `${version}-${digest.slice(0, 8)}`;
}

/** The key of a team, made with the team where there is none. Throws `cli/no-team-key`. */
async function teamSigner(
  { state: place }: Workspace,
  state: RepositoryState,
  team: string,
  now: Date,
): Promise<{ signer: MetadataSigner; newKey: string | undefined }> {
  const folder = join(place, 'teams');
  const file = join(folder, `${team}.key`);
  const exists = teamsOf(state).includes(team);
  if (!exists) await makeKey(folder, file);
  const pem = await readFile(file, 'utf8').catch(() => undefined);
  if (pem === undefined) throw noKey(team, file);
  const signer = await metadataSigner(await openSigner({ file }));
  if (!exists) {
    const key = tufKey(createPublicKey(pem).export({ type: 'spki', format: 'pem' }));
    changeRole(state, team, { add: [key] }, now);
    return { signer, newKey: file };
  }
  const { keyIds, threshold } = authorityOf(state, team);
  if (!keyIds.includes(signer.key.id) || threshold > 1) throw noKey(team, file);
  return { signer, newKey: undefined };
}

function noKey(team: string, file: string): MblError {
  return new MblError(
    'cli/no-team-key',
    `The key of the team ${team} is not the one in ${file}, or not enough.`,
    {
      remedy:
        'Who has it makes the release: ./mbl release create RELEASE --team TEAM, ./mbl release sign --key KEY. Or take another team: --team NAME',
    },
  );
}

/** Of two that make it at once, one holds. */
async function makeKey(folder: string, file: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { privateKey } = generateKeyPairSync('ed25519');
  const draft = `${file}.${process.pid}`;
  {
    await using handle = await open(draft, 'wx', 0o600);
    await handle.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await handle.sync();
  }
  try {
    await link(draft, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await rm(draft);
  }
}

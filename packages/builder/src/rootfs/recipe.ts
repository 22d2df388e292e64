// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KeyProfile } from '@mbl/trust';
import { downloadPackages } from '../debian/packages.ts';
import type { Image } from '../recipes/image.ts';
import type { LocalPackage } from '../locks/local-packages.ts';
import type { LockedNpm, LockedPackage } from '../recipes/lock.ts';
import type { Json, TaskContext } from '../task.ts';
import { policyFiles } from './policy.ts';

/** What the tasks of a root are made from. */
export interface RootRecipe {
  readonly cache: string;
  /** The folder with `rootfs/policy.yaml` and `rootfs/base`. */
  readonly osDirectory: string;
  /** Folders of product layers; one may have a `policy.yaml`. */
  readonly layers: readonly string[];
  /** The folder with `packages/device`. */
  readonly repository: string;
  readonly image: Image;
  readonly packages: readonly LockedPackage[];
  readonly local: readonly LocalPackage[];
  readonly boot: readonly LockedPackage[];
  readonly node: LockedNpm;
  readonly modules: readonly string[];
  /** What the keys are for that sign the root. */
  readonly profile: KeyProfile;
  /** The TUF root that devices are born with, as it lies in the key set. */
  readonly releaseRoot: string;
}

/** What identifies packages in a task's inputs. */
export const digests = (packages: readonly Pick<LockedPackage, 'name' | 'version' | 'sha256'>[]): Json =>
  packages.map(({ name, version, sha256 }) => `${name} ${version} ${sha256}`);

export const policiesOf = ({ osDirectory, layers }: Pick<RootRecipe, 'osDirectory' | 'layers'>): string[] =>
  policyFiles(osDirectory, layers);

/** The paths of Debian packages by name, fetched when needed. */
export async function download(
  { cache, image }: RootRecipe,
  context: TaskContext,
  packages: readonly LockedPackage[],
): Promise<Map<string, string>> {
  return downloadPackages(
    packages,
    { suite: image.suite, architecture: 'arm64' },
    {
      cache,
      signal: context.signal,
      log: (line) => context.log(line),
      progress: (fraction, what) => context.progress(fraction, what),
    },
  );
}

/** Writes files by their paths below `folder`. */
export async function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [path, data] of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, data);
  }
}

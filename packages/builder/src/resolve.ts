// SPDX-License-Identifier: Apache-2.0
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Architecture, resolvePackages } from './debian/packages.ts';
import { resolveSource } from './debian/source.ts';
import { type FirmwareSourceName, type FirmwareSources, firmwareOrigins } from './firmware/sources.ts';
import { initramfsContents, kernelPackage } from './kernel/kernel.ts';
import type { Image } from './recipes/image.ts';
import { type LocalPackage, readLocalPackages, splitPackages } from './recipes/local-packages.ts';
import {
  diffLock,
  emptyLock,
  type Lock,
  type LockChange,
  type LockedNpm,
  type LockedPackage,
  readLock,
  writeLock,
} from './recipes/lock.ts';
import type { Machine } from './recipes/machine.ts';
import { NODE } from './rootfs/node-runtime.ts';

/** Everything that a build fetches, with version and digest. */
export interface ResolvedInputs {
  /** Debian packages of the root file system. */
  readonly root: readonly LockedPackage[];
  /** Packages that layers bring as files; they replace those of Debian. */
  readonly local: readonly LocalPackage[];
  /** The kernel and what the initramfs is made of. */
  readonly boot: readonly LockedPackage[];
  /** Programs of the build itself (amd64), the same on every host. */
  readonly tools: readonly LockedPackage[];
  readonly sources: FirmwareSources;
  readonly node: LockedNpm;
}

export interface ResolveOptions {
  readonly machine: Machine;
  readonly image: Image;
  /** Folder of the lock files. */
  readonly locks: string;
  readonly cache: string;
  /** Ask the mirror again, also for what is locked. */
  readonly update: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (what: string) => void;
}

/** What the build's own programs come from; they run on the host. */
const toolPackages = ['erofs-utils', 'kmod'];

/**
 * Reads the lock files, asks the mirror for what they do not answer, and writes them. A lock answers the request that it was made for:
 * when an image names another package, its lock is made anew. `changes` says what is different now, `locks` are the locks by their files.
 */
export async function resolveInputs(options: ResolveOptions): Promise<{
  readonly inputs: ResolvedInputs;
  readonly locks: Readonly<Record<string, Lock>>;
  readonly changes: readonly LockChange[];
}> {
  const { machine, image, cache, signal } = options;
  const { suite } = image;
  const changes: LockChange[] = [];
  const locks: Record<string, Lock> = {};
  const locked = async (
    file: string,
    request: readonly string[],
    resolve: () => Promise<Partial<Lock>>,
  ): Promise<Lock> => {
    const path = join(options.locks, `${file}.json`);
    const before = await readLock(path);
    if (!options.update && same(before.request, request)) return (locks[file] = before);
    options.progress?.(`asking the mirror for the versions of ${file}`);
    const after: Lock = { ...emptyLock, ...(await resolve()), request };
    changes.push(...diffLock(before, after));
    await mkdir(dirname(path), { recursive: true });
    await writeLock(path, after);
    // As the next build will read it: the same order, so the same keys of tasks.
    return (locks[file] = await readLock(path));
  };
  const debian = async (architecture: Architecture, packages: readonly string[]): Promise<LockedPackage[]> =>
    resolvePackages({ suite, architecture, packages }, { cache, signal });

  const bootNames = [machine.kernel.package, ...Object.keys(initramfsContents)];
  const boot = await locked(`boot-${machine.name}`, [suite, ...bootNames], async () => {
    const packages = await debian('arm64', bootNames);
    const kernel = kernelPackage(packages);
    return { packages: packages.filter(({ name }) => name === kernel.name || name in initramfsContents) };
  });
  const split = splitPackages(
    image.packages,
    await readLocalPackages(image.packageFolders, machine.architecture, signal),
  );
  const replaced = new Set(split.local.map(({ name }) => name));
  const root = await locked(`root-${image.name}`, [suite, ...split.suite], async () => ({
    packages: (await debian('arm64', split.suite)).filter(({ name }) => !replaced.has(name)),
    npm: [NODE],
  }));
  const tools = await locked('tools', [suite, ...toolPackages], async () => ({
    packages: await debian('amd64', toolPackages),
  }));
  const wanted = Object.entries(firmwareOrigins).map(([name, { suite: from }]) => [name, from] as const);
  const firmware = await locked(
    'firmware',
    wanted.map(([name, from]) => `${name}/${from}`),
    async () => ({
      sources: await Promise.all(wanted.map(([name, from]) => resolveSource(name, from, { cache, signal }))),
    }),
  );
  const sources = Object.fromEntries(firmware.sources.map((source) => [source.name, source]));
  return {
    inputs: {
      root: root.packages,
      local: split.local,
      boot: boot.packages,
      tools: tools.packages,
      // Each was asked for by this name just now, or the lock answers that same request.
      sources: sources as Record<FirmwareSourceName, (typeof firmware.sources)[number]>,
      node: root.npm[0] ?? NODE,
    },
    locks,
    changes,
  };
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((entry, i) => entry === b[i]);
}

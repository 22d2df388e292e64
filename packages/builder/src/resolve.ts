// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { type Architecture, type PackageRequest, resolvePackages } from './debian/packages.ts';
import { resolveSource } from './debian/source.ts';
import { checkFloors, type Floor } from './firmware/advisories.ts';
import { type FirmwareSources, firmwareOrigins } from './firmware/sources.ts';
import { initramfsContents, kernelPackage } from './kernel/kernel.ts';
import type { LockSource, WantedLock } from './locks/lock-files.ts';
import type { Stages } from './locks/stages.ts';
import { type LocalPackage, readLocalPackages, splitPackages } from './locks/local-packages.ts';
import type { Lock, LockedNpm, LockedPackage } from './recipes/lock.ts';
import { NODE } from './rootfs/node-runtime.ts';
import { toolboxes, type ToolboxName, toolboxNames, toolSuite } from './tools/contents.ts';
import { type LockedTools, packagesOf, toolsLockFile } from './tools/locked.ts';

/** Everything that a build fetches, with version and digest. */
export interface ResolvedInputs {
  /** Debian packages of the root file system. */
  readonly root: readonly LockedPackage[];
  /** Packages that layers bring as files; they replace those of Debian. */
  readonly local: readonly LocalPackage[];
  /** The kernel and what the initramfs is made of. */
  readonly boot: readonly LockedPackage[];
  /** Programs of the build itself and of the workbench, for each kind of host. */
  readonly tools: LockedTools;
  readonly sources: FirmwareSources;
  readonly node: LockedNpm;
}

export interface ResolveOptions {
  readonly stages: Stages;
  readonly locks: LockSource;
  /** What the firmware's sources must at least be. */
  readonly floors: readonly Floor[];
  readonly cache: string;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (what: string) => void;
}

/**
 * Finds out, from the locks or else from the mirror, which version of everything the build takes. Throws what the locks and the mirror say,
 * and `builder/vulnerable-source` for firmware with a known hole.
 */
export async function resolveInputs(options: ResolveOptions): Promise<ResolvedInputs> {
  const { stages, locks, signal } = options;
  const { machine, image } = stages.whole;
  const boot = await locks.obtain(bootLock(options));
  const root = await locks.obtain(rootLock(options));
  const tools = await lockedTools(options);
  const firmware = await locks.obtain(firmwareLock(options));
  checkFloors(firmware.sources, options.floors);
  checkComplete(firmware, root);
  const { local } = splitPackages(
    image.packages,
    await readLocalPackages(image.packageFolders, machine.architecture, signal),
  );
  const replaced = new Set(local.map(({ name }) => name));
  const kernel = kernelPackage(boot.packages);
  return {
    root: root.packages.filter(({ name }) => !replaced.has(name)),
    local,
    boot: boot.packages.filter(({ name }) => name === kernel.name || name in initramfsContents),
    tools,
    // Each was asked for by this name.
    sources: Object.fromEntries(firmware.sources.map((source) => [source.name, source])) as FirmwareSources,
    node: root.npm[0] ?? NODE,
  };
}

/** A lock answers its request by its word only: what it was edited to leave out or to exchange is noticed here. */
function checkComplete(firmware: Lock, root: Lock): void {
  const missing = Object.keys(firmwareOrigins).find(
    (name) => !firmware.sources.some((one) => one.name === name),
  );
  const [node = NODE, ...more] = root.npm;
  const foreign = [node, ...more].find(({ integrity }) => integrity !== NODE.integrity);
  if (missing === undefined && foreign === undefined) return;
  throw new MblError(
    'builder/lock-invalid',
    missing === undefined
      ? `The lock of the root asks for ${NODE.name} ${NODE.version} and holds ${foreign?.name} ${foreign?.version}.`
      : `The lock of the firmware has no source ${missing}.`,
    { remedy: 'Restore the lock from version control, or run: ./mbl build --update-lock' },
  );
}

/** The kernel with all that apt would install beside it, so that the lock can be added to; the build takes a few of them. */
function bootLock(options: ResolveOptions): WantedLock {
  const { machine, image } = options.stages.whole;
  return {
    file: `${image.suite}/boot-${machine.name}`,
    request: async (stage) => {
      if (stage.machine === undefined) return undefined;
      return [image.suite, stage.machine.kernel.package, ...Object.keys(initramfsContents)];
    },
    resolve: async ([suite = '', ...packages], before) =>
      resolveDebian(options, { suite, architecture: 'arm64', packages }, before),
  };
}

function rootLock(options: ResolveOptions): WantedLock {
  const { image, bases } = options.stages.whole;
  const node = `npm:${NODE.name}@${NODE.version}`;
  return {
    file: `${image.suite}/root-${image.name}`,
    bases: bases.map((base) => `${image.suite}/root-${base}`),
    request: async (stage) => {
      if (stage.image === undefined || stage.machine === undefined) return undefined;
      const { packages, packageFolders } = stage.image;
      const local = await readLocalPackages(packageFolders, stage.machine.architecture, options.signal);
      return [stage.image.suite, ...splitPackages(packages, local).suite, node];
    },
    resolve: async ([suite = '', ...wanted], before) => {
      const packages = wanted.filter((name) => name !== node);
      const debian = await resolveDebian(options, { suite, architecture: 'arm64', packages }, before);
      return { ...debian, npm: [NODE] };
    },
  };
}

/** For every kind of host, so that one host's build never leaves the lock of another behind. */
async function lockedTools(options: ResolveOptions): Promise<LockedTools> {
  const entries: [ToolboxName, LockedTools[ToolboxName]][] = [];
  for (const name of toolboxNames) {
    const amd64 = await options.locks.obtain(toolsLock(options, name, 'amd64'));
    const arm64 = await options.locks.obtain(toolsLock(options, name, 'arm64'));
    entries.push([name, { amd64: packagesOf(name, amd64), arm64: packagesOf(name, arm64) }]);
  }
  return Object.fromEntries(entries) as LockedTools;
}

function toolsLock(options: ResolveOptions, name: ToolboxName, architecture: Architecture): WantedLock {
  return {
    file: toolsLockFile(name, architecture),
    request: async () => [toolSuite, ...toolboxes[name].packages],
    resolve: async ([suite = '', ...packages], before) =>
      resolveDebian(options, { suite, architecture, packages }, before),
  };
}

/** Each source has a suite of its own, named with it. */
function firmwareLock(options: ResolveOptions): WantedLock {
  const { cache, signal } = options;
  const wanted = Object.entries(firmwareOrigins).map(([name, { suite }]) => ({ name, suite }));
  return {
    file: 'firmware',
    request: async () => wanted.map(({ name, suite }) => `${name}/${suite}`),
    resolve: async (_request, before) => {
      options.progress?.('asking the mirror for the sources of the firmware');
      const sources = wanted.map(
        async ({ name, suite }) =>
          before.sources.find((source) => source.name === name && source.suite === suite) ??
          (await resolveSource(name, suite, { cache, signal })),
      );
      const found = await Promise.all(sources);
      // Before it is written: a mirror that is too old leaves no trace.
      checkFloors(found, options.floors);
      return { ...nothing, sources: found };
    },
  };
}

async function resolveDebian(
  { cache, signal, progress }: ResolveOptions,
  request: PackageRequest,
  before: Lock,
): Promise<Pick<Lock, 'packages' | 'sources' | 'npm'>> {
  progress?.(`asking the mirror for packages of ${request.suite} (${request.architecture})`);
  return { ...nothing, packages: await resolvePackages(request, { cache, signal }, before.packages) };
}

const nothing = { packages: [], sources: [], npm: [] };

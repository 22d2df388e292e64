// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { ImageDescription, ImageIdentity } from '@mbl/formats';
import {
  confirmProfile,
  imageKeyNames,
  imagePublicKeys,
  type KeyProfile,
  type KeyRef,
  type KeySet,
  MblError,
} from '@mbl/trust';
import { ArchivedLocks, archiveInputs, restoreInputs } from './archive/inputs.ts';
import { openArchive } from './archive/read.ts';
import { digestJson } from './engine/canonical.ts';
import type { TaskEvent, TaskReport } from './engine/events.ts';
import { lockFile } from './engine/file-lock.ts';
import { runTasks } from './engine/run-tasks.ts';
import { listTree, treeDigest } from './engine/tree.ts';
import { readFloors } from './firmware/advisories.ts';
import { applicationsTask } from './firmware/applications.ts';
import { flashTask } from './firmware/flash.ts';
import { opteeTask } from './firmware/optee.ts';
import { trustedFirmwareTask } from './firmware/tf-a.ts';
import { uBootTask } from './firmware/u-boot.ts';
import { assembleImage } from './image/assemble.ts';
import { fitTask } from './kernel/fit-task.ts';
import { readDeviceTree } from './kernel/device-tree.ts';
import { kernelPackage, kernelTask } from './kernel/kernel.ts';
import { refuseDeclaredLogin, signAfter } from './key-profile.ts';
import type { Image } from './recipes/image.ts';
import { formatImageLock } from './recipes/lock.ts';
import { type LockFileChange, LockFiles } from './locks/lock-files.ts';
import { loadStages } from './locks/stages.ts';
import type { Machine } from './recipes/machine.ts';
import { manifestTasks } from './manifest/manifest-task.ts';
import { recipeIdentity } from './recipes/identity.ts';
import { locateImageError } from './recipes/locate-error.ts';
import { formatOverride } from './recipes/override.ts';
import { loadRecipes } from './recipes/recipes.ts';
import { hostArchitecture, type ResolvedInputs, resolveInputs } from './resolve.ts';
import { policyFiles } from './rootfs/policy.ts';
import { loginCheckTask, type RootRecipe, rootTasks } from './rootfs/tasks.ts';
import type { Json, Task } from './task.ts';

export interface BuildOptions {
  /** The repository: `os/` and the device's sources. */
  readonly repository: string;
  readonly machine: string;
  readonly image: string;
  /** Folders of product layers, in order. */
  readonly layers?: readonly string[];
  readonly keys: KeySet;
  /** Downloads and task outputs, shared by workspaces. */
  readonly cache: string;
  /** Task outputs and records of this workspace only. */
  readonly privateCache: string;
  /** The image goes to `<output>/<machine>-<image>`. */
  readonly output: string;
  /** Version of the distribution, for the components. */
  readonly version: string;
  readonly updateLock?: boolean;
  /** Write all that the build fetched into this file. */
  readonly archive?: string | undefined;
  /** Take locks and all that would be fetched from this file: the network is not asked for anything. */
  readonly fromArchive?: string | undefined;
  readonly jobs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: TaskEvent) => void) | undefined;
  /** A lock file was changed: whoever builds must hear of it, also when the build fails afterwards. */
  readonly onLockChange?: ((change: LockFileChange) => void) | undefined;
  /** What is done outside of tasks: asking mirrors, putting the disk together. */
  readonly onPhase?: ((what: string) => void) | undefined;
}

export interface BuildResult {
  /** The image's folder. */
  readonly directory: string;
  readonly description: ImageDescription;
  readonly tasks: readonly TaskReport[];
  /** The archive that was asked for; `size` in bytes. */
  readonly archive: { readonly path: string; readonly files: number; readonly size: number } | undefined;
  /** What the layers change, a line each. */
  readonly overrides: readonly string[];
  readonly seconds: number;
  /** Output folders by task, for those who want a part. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** Builds a signed image: versions from the lock, tasks from the cache, then flash and disk. */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const begin = performance.now();
  const { repository, keys, cache, signal, output } = options;
  const osDirectory = join(repository, 'os');
  const layers = options.layers ?? [];
  const recipes = await loadRecipes({ osDirectory, layers });
  const machine = recipes.machine(options.machine);
  const image = recipes.image(options.image);
  if (keys.profile === 'production') await refuseDeclaredLogin(machine, image);
  const deviceTree = await readDeviceTree(machine);
  const overrides = recipes.overrides(options.machine, options.image).map(formatOverride);
  const stages = await loadStages(osDirectory, layers, options.machine, options.image);
  await using archive =
    options.fromArchive === undefined ? undefined : await openArchive(options.fromArchive);
  const locks =
    archive === undefined
      ? new LockFiles(stages, options.updateLock ?? false, options.onLockChange)
      : new ArchivedLocks(archive, stages);
  const floors = await readFloors(join(osDirectory, 'firmware', 'advisories.yaml'));
  const inputs = await located(image, () =>
    resolveInputs({
      stages,
      locks,
      floors,
      cache,
      signal,
      ...(options.onPhase === undefined ? {} : { progress: options.onPhase }),
    }),
  );
  if (archive !== undefined) {
    options.onPhase?.('unpacking the archive');
    await restoreInputs(archive, inputs, hostArchitecture, cache, signal);
  }
  const publicKeys = await imagePublicKeys(keys.keys);
  const profile = confirmProfile(keys, publicKeys);
  await openTokens(keys);
  const versions = versionsOf(options.version, inputs);
  const sources = await Promise.all(
    inputFolders(options, machine, image).map(async (path) => treeDigest(await listTree(path))),
  );
  const recipe = recipeIdentity(machine, image);
  const { local, ...locked } = inputs;
  const localDigests = local.map(({ sha256 }) => sha256);
  const buildId = digestJson({
    recipe,
    locked,
    localDigests,
    publicKeys,
    profile,
    sources,
  } as unknown as Json).slice(0, 16);
  const rootVersion = `${options.version}+${buildId.slice(0, 8)}`;
  const tasks = allTasks(options, machine, deviceTree, image, inputs, publicKeys, profile, {
    version: 1,
    machine: machine.name,
    image: image.name,
    buildId,
    keys: profile,
    components: {
      'boot-firmware': { version: versions.bootFirmware },
      kernel: { version: versions.kernel },
      root: { version: rootVersion },
    },
  });
  const report = await located(image, () =>
    runTasks(tasks, {
      cacheDirectory: cache,
      privateDirectory: options.privateCache,
      wanted: ['flash', 'fit', 'root', 'manifest'],
      ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
      signal,
      onEvent: options.onEvent,
    }),
  );
  const outputOf = (task: string): string => {
    const folder = report.outputs.get(task);
    if (folder === undefined) throw new MblError('builder/task-graph', `the task ${task} left no output`);
    return folder;
  };
  let archived: BuildResult['archive'];
  if (options.archive !== undefined) {
    options.onPhase?.('writing the archive');
    const all = { path: options.archive, repository, cache, stages, inputs, locks: locks.locks, signal };
    archived = { path: options.archive, ...(await archiveInputs(all)) };
  }
  options.onPhase?.('putting the disk together');
  const name = `${machine.name}-${image.name}`;
  const directory = join(output, name);
  // One at a time: another process may build the same image.
  await using _lock = await lockFile(join(options.privateCache, 'locks', `image-${name}.lock`), { signal });
  const description = await assembleImage({
    machine,
    imageName: image.name,
    buildId,
    keys: profile,
    versions: { ...versions, root: rootVersion },
    flash: outputOf('flash'),
    fit: outputOf('fit'),
    root: outputOf('root'),
    manifest: outputOf('manifest'),
    lock: formatImageLock(Object.fromEntries(locks.locks), inputs.local),
    target: directory,
    stampFile: join(options.privateCache, 'images', `${name}.json`),
  });
  return {
    directory,
    description,
    tasks: report.tasks,
    archive: archived,
    overrides,
    seconds: (performance.now() - begin) / 1000,
    outputs: report.outputs,
  };
}

/** What a build reads beside the recipes: a change there is another build. */
function inputFolders(options: BuildOptions, machine: Machine, image: Image): string[] {
  const { repository, layers } = options;
  const os = join(repository, 'os');
  const device = ['device', 'lwm2m', 'coap', 'formats', 'trust'].map((name) =>
    join(repository, 'packages', name, 'src'),
  );
  const { deviceTree, firmware } = machine;
  const data = ['firmware/u-boot', 'rootfs'].map((name) => join(os, name));
  return [
    ...data,
    ...policyFiles(os, layers),
    ...image.files,
    deviceTree,
    ...firmware.uBoot.config,
    ...device,
  ];
}

/** Errors about a package or a unit get the line of the recipe that asked for it. */
async function located<T>(image: Image, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw locateImageError(error, image);
  }
}

/** A token that does not open is told before minutes of compiling, and asked once: every wrong PIN counts. */
async function openTokens(keys: KeySet): Promise<void> {
  const tokens = new Map<string, KeyRef>();
  for (const name of imageKeyNames) {
    const key = keys.keys[name];
    if ('pkcs11' in key.place) tokens.set(key.place.module, key);
  }
  for (const key of tokens.values()) await key.sign(Buffer.alloc(1));
}

function versionsOf(version: string, inputs: ResolvedInputs): { bootFirmware: string; kernel: string } {
  const { sources, boot } = inputs;
  const upstream = (name: keyof typeof sources): string => sources[name].version.replace(/[+-].*$/, '');
  const firmware = `tfa${upstream('arm-trusted-firmware')}.optee${upstream('optee-os')}.uboot${upstream('u-boot')}`;
  return { bootFirmware: `${version}+${firmware}`, kernel: kernelPackage(boot).version };
}

function allTasks(
  options: BuildOptions,
  machine: Machine,
  deviceTree: string,
  image: Image,
  inputs: ResolvedInputs,
  publicKeys: Readonly<Record<string, string>>,
  profile: KeyProfile,
  description: ImageIdentity,
): Task[] {
  const { repository, keys, cache, version } = options;
  const { sources, boot, root, local, tools, node } = inputs;
  const osDirectory = join(repository, 'os');
  const { suite } = image;
  const { trustedFirmware, optee, uBoot } = machine.firmware;
  const key = (name: string): string => publicKeys[name] ?? '';
  const rootRecipe: RootRecipe = {
    cache,
    osDirectory,
    layers: options.layers ?? [],
    repository,
    image,
    packages: root,
    local,
    boot,
    tools: tools[hostArchitecture],
    node,
    modules: machine.kernel.modules,
    description,
    profile,
  };
  const tasks = [
    uBootTask({ cache, source: sources['u-boot'], defconfig: uBoot.defconfig, config: uBoot.config }),
    opteeTask({ cache, source: sources['optee-os'], ...optee, taPublicKey: key('ta') }),
    trustedFirmwareTask({
      cache,
      source: sources['arm-trusted-firmware'],
      mbedtls: sources.mbedtls,
      ...trustedFirmware,
      rootOfTrust: key('root-of-trust'),
    }),
    flashTask({ ...machine.flash, deviceTree, keys, publicKeys }),
    applicationsTask(keys, key('ta')),
    kernelTask({ cache, suite, packages: boot, initramfsModules: machine.kernel.initramfsModules }),
    ...rootTasks(rootRecipe),
    ...manifestTasks({ cache, suite, image: { name: image.name, version }, sources, boot, node }),
    fitTask({
      deviceTree,
      kernelArguments: [...machine.kernel.arguments, ...image.kernelArguments, 'panic=1'],
      init: join(osDirectory, 'rootfs', 'initramfs', 'init'),
      keys,
      publicKey: key('fit'),
      profile,
    }),
  ];
  return profile === 'production' ? signAfter(loginCheckTask(rootRecipe), tasks) : tasks;
}

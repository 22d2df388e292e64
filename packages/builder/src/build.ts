// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { ImageDescription } from '@mbl/formats';
import {
  confirmProfile,
  imageKeyNames,
  imagePublicKeys,
  type KeyRef,
  type KeySet,
  MblError,
} from '@mbl/trust';
import { ArchivedLocks, archiveInputs, restoreInputs } from './archive/inputs.ts';
import { openArchive } from './archive/read.ts';
import { checkArchiveTarget } from './archive/write.ts';
import { CodeFinder } from './engine/code.ts';
import { currentTools } from './engine/current-tools.ts';
import { definitionOf } from './engine/definition.ts';
import type { TaskEvent, TaskReport } from './engine/events.ts';
import { lockFile } from './engine/file-lock.ts';
import { runTasks } from './engine/run-tasks.ts';
import { readFloors } from './firmware/advisories.ts';
import { applicationsTask } from './firmware/applications.ts';
import { flashTask } from './firmware/flash.ts';
import { opteeTask } from './firmware/optee.ts';
import { trustedFirmwareTask } from './firmware/tf-a.ts';
import { uBootTask } from './firmware/u-boot.ts';
import { assembleImage, imageStep } from './image/assemble.ts';
import { identityTask, readIdentity, type Unidentified } from './image/identity.ts';
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
import { locateImageError } from './recipes/locate-error.ts';
import { formatOverride } from './recipes/override.ts';
import { loadRecipes } from './recipes/recipes.ts';
import { type ResolvedInputs, resolveInputs } from './resolve.ts';
import { confinementTask } from './rootfs/confinement-task.ts';
import { deviceServicesTask } from './rootfs/device-services-task.ts';
import { kernelModulesTask } from './rootfs/kernel-modules-task.ts';
import { loginCheckTask } from './rootfs/login-check-task.ts';
import { nativeTask } from './rootfs/native-task.ts';
import { nodeTask } from './rootfs/node-task.ts';
import { packagesTask } from './rootfs/packages-task.ts';
import type { RootRecipe } from './rootfs/recipe.ts';
import { readReleaseRoot } from './rootfs/release-root.ts';
import { rootBaseTask } from './rootfs/root-base-task.ts';
import { rootSizeTask } from './rootfs/root-size-task.ts';
import { rootContents, rootTask } from './rootfs/root-task.ts';
import type { Task } from './task.ts';
import { taskTools, toolVersions } from './tools/locked.ts';
import { checkPlace, hostArchitecture } from './tools/toolbox.ts';

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

/** Kernel arguments of every image. Not even root puts code into the kernel: no memory device, no unsigned module, no kexec. */
const distributionArguments = ['panic=1', 'lockdown=integrity', 'module.sig_enforce=1'];

/** Builds a signed image: versions from the lock, tasks from the cache, then flash and disk. */
export async function build(options: BuildOptions): Promise<BuildResult> {
  const begin = performance.now();
  const { repository, keys, cache, signal, output } = options;
  // One for all that looks at code: what is edited meanwhile is another build's.
  const code = new CodeFinder();
  checkPlace(cache);
  const osDirectory = join(repository, 'os');
  const layers = options.layers ?? [];
  // Before minutes of building.
  if (options.archive !== undefined) await checkArchiveTarget(options.archive);
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
    await restoreInputs(archive, inputs, hostArchitecture(), cache, signal);
  }
  const publicKeys = await imagePublicKeys(keys.keys);
  const profile = confirmProfile(keys, publicKeys);
  await openTokens(keys);
  const versions = versionsOf(options.version, inputs);
  const unidentified: Unidentified = {
    version: 1,
    machine: machine.name,
    image: image.name,
    keys: profile,
    components: {
      'boot-firmware': { version: versions.bootFirmware },
      kernel: { version: versions.kernel },
      root: { version: image.version ?? options.version },
    },
  };
  const tools = taskTools(inputs.tools, cache);
  const tasks = await allTasks(options, machine, deviceTree, image, inputs, publicKeys, unidentified, code);
  const report = await located(image, () =>
    runTasks(tasks, {
      cacheDirectory: cache,
      privateDirectory: options.privateCache,
      tools,
      code,
      wanted: ['identity', 'flash', 'fit', 'root', 'root-size', 'manifest'],
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
  const identity = await readIdentity(outputOf('identity'), unidentified);
  const description = await currentTools.run(
    await tools.image.open(),
    async () =>
      await assembleImage({
        machine,
        identity,
        rollbackIndex: image.rollbackIndex,
        code,
        tools: tools.image.identity,
        flash: outputOf('flash'),
        fit: outputOf('fit'),
        root: outputOf('root'),
        manifest: outputOf('manifest'),
        lock: formatImageLock(Object.fromEntries(locks.locks), inputs.local),
        target: directory,
        stampFile: join(options.privateCache, 'images', `${name}.json`),
      }),
  );
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

async function allTasks(
  options: BuildOptions,
  machine: Machine,
  deviceTree: string,
  image: Image,
  inputs: ResolvedInputs,
  publicKeys: Readonly<Record<string, string>>,
  unidentified: Unidentified,
  code: CodeFinder,
): Promise<Task[]> {
  const { repository, keys, cache, version } = options;
  const { sources, boot, root, local, node } = inputs;
  const osDirectory = join(repository, 'os');
  const { suite } = image;
  const include = join(osDirectory, 'firmware', 'include');
  const pseudoApplications = join(osDirectory, 'firmware', 'optee');
  const { trustedFirmware, optee, uBoot } = machine.firmware;
  const key = (name: string): string => publicKeys[name] ?? '';
  const recipe: RootRecipe = {
    cache,
    osDirectory,
    layers: options.layers ?? [],
    repository,
    image,
    packages: root,
    local,
    boot,
    node,
    modules: machine.kernel.modules,
    profile: unidentified.keys,
    releaseRoot: await readReleaseRoot(keys.dir),
  };
  const before = [
    uBootTask({ cache, source: sources['u-boot'], include, ...uBoot }),
    opteeTask({ cache, source: sources['optee-os'], include, ...optee, pseudoApplications }),
    trustedFirmwareTask({
      cache,
      include,
      flash: machine.flash,
      cores: machine.cores,
      source: sources['arm-trusted-firmware'],
      mbedtls: sources.mbedtls,
      ...trustedFirmware,
      rootOfTrust: key('root-of-trust'),
    }),
    flashTask({ layout: machine.flash, counters: machine.firmware.counters, deviceTree, keys, publicKeys }),
    applicationsTask(keys, key('ta')),
    kernelTask({ cache, suite, packages: boot, initramfsModules: machine.kernel.initramfsModules }),
    packagesTask(recipe),
    kernelModulesTask(recipe),
    deviceServicesTask(recipe),
    nodeTask(recipe),
    nativeTask(join(osDirectory, 'native'), [include, pseudoApplications]),
    confinementTask(join(osDirectory, 'apparmor', 'mbl-app')),
    rootBaseTask(recipe),
    ...manifestTasks({
      cache,
      suite,
      image: { name: image.name, version: image.version ?? version },
      sources,
      boot,
      node,
    }),
  ];
  const after = [
    rootTask(recipe, unidentified),
    fitTask({
      deviceTree,
      kernelArguments: [...machine.kernel.arguments, ...image.kernelArguments, ...distributionArguments],
      disk: machine.disk,
      rollbackIndex: image.rollbackIndex,
      init: join(osDirectory, 'rootfs', 'initramfs', 'init'),
      keys,
      publicKey: key('fit'),
      profile: unidentified.keys,
    }),
  ];
  const versions = toolVersions(inputs.tools);
  const steps = [...after, { name: 'image', ...imageStep(machine) }];
  const definitions = await Promise.all(
    steps.map(async (step) => [step.name, await definitionOf(step, code, versions)] as const),
  );
  const identity = identityTask(
    ['flash', 'kernel', 'root-base', ...rootContents],
    Object.fromEntries(definitions),
  );
  const tasks = [...before, identity, ...after, rootSizeTask(image)];
  return unidentified.keys === 'production' ? signAfter(loginCheckTask(recipe), tasks) : tasks;
}

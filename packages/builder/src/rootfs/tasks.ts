// SPDX-License-Identifier: Apache-2.0
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatImage, type ImageIdentity } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { downloadPackages } from '../debian/packages.ts';
import { openToolbox, type Toolbox } from '../debian/toolbox.ts';
import { sourceDateEpoch } from '../engine/run-command.ts';
import { kernelPackage } from '../kernel/kernel.ts';
import { loginCheck, loginRefused } from '../key-profile.ts';
import type { Image } from '../recipes/image.ts';
import type { LocalPackage } from '../recipes/local-packages.ts';
import type { LockedNpm, LockedPackage } from '../recipes/lock.ts';
import type { Json, Task, TaskContext } from '../task.ts';
import { bundleServices } from './bundles.ts';
import { moduleFiles } from './modules.ts';
import { fetchNode } from './node-runtime.ts';
import { policyFiles, readPolicy } from './policy.ts';
import { buildRoot, composeRoot, type RootParts } from './root.ts';
import { downloadWithin } from './seal.ts';
import type { Tree } from './tree.ts';
import { loadUnpacked, storeUnpacked, unpackPackages } from './unpack.ts';
import { waysIn } from './ways-in.ts';

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
  readonly tools: readonly LockedPackage[];
  readonly node: LockedNpm;
  readonly modules: readonly string[];
  /** `/etc/mbl/image.json`: what the device knows of itself. */
  readonly description: ImageIdentity;
}

const places = { disk: 'on the disk', download: 'as a download' } as const;

/** The tasks `packages`, `kernel-modules`, `device-services` and `root` (`root.img`, `root.json`). */
export function rootTasks(recipe: RootRecipe): Task[] {
  return [packagesTask(recipe), kernelModulesTask(recipe), deviceServicesTask(recipe), rootTask(recipe)];
}

/** The code that makes the root: a new version of it must not read what an older one left, nor keep what it made. */
const code = [
  import.meta.dirname,
  ...['debian', 'manifest'].map((name) => join(import.meta.dirname, '..', name)),
];

const digests = (packages: readonly Pick<LockedPackage, 'name' | 'version' | 'sha256'>[]): Json =>
  packages.map(({ name, version, sha256 }) => `${name} ${version} ${sha256}`);

const policiesOf = ({ osDirectory, layers }: RootRecipe): string[] => policyFiles(osDirectory, layers);

async function toolbox(recipe: RootRecipe, context: TaskContext): Promise<Toolbox> {
  const { cache, tools, image } = recipe;
  return openToolbox(tools, image.suite, { cache, signal: context.signal, log: (line) => context.log(line) });
}

async function download(
  recipe: RootRecipe,
  context: TaskContext,
  packages: readonly LockedPackage[],
): Promise<Map<string, string>> {
  const { cache, image } = recipe;
  const { signal } = context;
  return downloadPackages(
    packages,
    { suite: image.suite, architecture: 'arm64' },
    {
      cache,
      signal,
      log: (line) => context.log(line),
      progress: (fraction, what) => context.progress(fraction, what),
    },
  );
}

function packagesTask(recipe: RootRecipe): Task {
  const { packages, local } = recipe;
  return {
    name: 'packages',
    title: `${packages.length} Debian packages`,
    inputs: { packages: digests(packages), local: digests(local) },
    files: [...policiesOf(recipe), ...code],
    async run(context) {
      const paths = await download(recipe, context, packages);
      const files = [...packages.map((each) => ({ ...each, file: pathOf(paths, each.name) })), ...local];
      const unpacked = await unpackPackages(files, await readPolicy(policiesOf(recipe)), {
        signal: context.signal,
        progress: (fraction, what) => context.progress(fraction, what),
      });
      await storeUnpacked(unpacked, context.out);
    },
  };
}

function kernelModulesTask(recipe: RootRecipe): Task {
  const { boot, modules, tools } = recipe;
  const kernel = kernelPackage(boot);
  return {
    name: 'kernel-modules',
    title: `${modules.length} kernel modules and what they need`,
    inputs: { kernel: digests([kernel]), modules, tools: digests(tools) },
    files: code,
    async run(context) {
      const deb = pathOf(await download(recipe, context, [kernel]), kernel.name);
      const depmod = await (await toolbox(recipe, context)).command('depmod');
      await writeFiles(context.out, await moduleFiles(deb, modules, depmod, context.signal));
    },
  };
}

/** The device's services and what they are made of: a change there makes new bundles, and nothing but the root follows. */
function deviceServicesTask({ repository }: RootRecipe): Task {
  const sources = ['device', 'lwm2m', 'coap', 'formats', 'trust'].map((name) =>
    join(repository, 'packages', name),
  );
  return {
    name: 'device-services',
    title: 'Device services',
    inputs: {},
    files: [...sources, join(repository, 'package-lock.json'), ...code],
    async run(context) {
      const bundles = await bundleServices(repository);
      await writeFiles(
        context.out,
        new Map([...bundles].map(([path, data]) => [path.replace(/^\//, ''), data])),
      );
    },
  };
}

function rootTask(recipe: RootRecipe): Task {
  const { cache, image, node, tools, description } = recipe;
  const { limits } = image;
  return {
    name: 'root',
    title: 'Root file system',
    inputs: {
      ...composition(recipe),
      image: image.name,
      limits,
      node: `${node.name} ${node.version} ${node.integrity}`,
      tools: digests(tools),
      description: formatImage(description),
    },
    files: compositionFiles(recipe),
    needs: [...composed, 'trusted-applications'],
    async run(context) {
      const { signal } = context;
      const log = (line: string): void => context.log(line);
      const progress = (fraction: number | undefined, what?: string): void =>
        context.progress(fraction, what);
      const sealed = await buildRoot({
        ...(await partsOf(recipe, context, [...composed, 'trusted-applications'])),
        out: context.out,
        name: image.name,
        node: await fetchNode(cache, node, { log, progress, signal }),
        mkfs: await (await toolbox(recipe, context)).command('mkfs.erofs'),
        time: sourceDateEpoch,
        log,
        progress,
        signal,
      });
      const check = (limit: 'disk' | 'download', size: number): void => {
        if (size <= limits[limit]) return;
        throw new MblError(
          'builder/root-too-large',
          `the root file system takes ${size} bytes ${places[limit]}, and the image allows ${limits[limit]}`,
          {
            remedy: `Take packages out of the image, or raise limits: ${limit}.`,
            details: { size },
          },
        );
      };
      check('disk', sealed.size);
      check('download', await downloadWithin(join(context.out, 'root.img'), limits.download, signal));
    },
  };
}

/**
 * Composes the root of a product before anything is signed, and finds no way in. The output is the same for every image that passes, so
 * that what is signed does not depend on it. The task `root` looks again, at the very tree that it seals.
 */
export function loginCheckTask(recipe: RootRecipe): Task {
  return {
    name: loginCheck,
    title: 'No login in the image',
    inputs: composition(recipe),
    files: compositionFiles(recipe),
    needs: composed,
    async run(context) {
      await composeRoot(await partsOf(recipe, context, composed));
      await writeFile(join(context.out, 'login'), 'none\n');
    },
  };
}

/** The tasks that bring the files of a root, beside those that sign. */
const composed = ['packages', 'kernel-modules', 'device-services'];

/** What decides how a root is put together, beside files and tasks. */
function composition({ image, description }: RootRecipe): { readonly [key: string]: Json } {
  const { hostname, services, users, login } = image;
  const people = users.map(({ home = '', shell = '', ...rest }) => ({ ...rest, home, shell }));
  return { hostname, services, login, users: people, keys: description.keys };
}

const ownFolders = ({ osDirectory }: RootRecipe): string[] =>
  ['base', 'device'].map((name) => join(osDirectory, 'rootfs', name));

const compositionFiles = (recipe: RootRecipe): string[] => [
  ...policiesOf(recipe),
  ...ownFolders(recipe),
  ...recipe.image.files,
  ...code,
];

async function partsOf(
  recipe: RootRecipe,
  context: TaskContext,
  tasks: readonly string[],
): Promise<RootParts> {
  const { image, description } = recipe;
  const { hostname, services, users, login } = image;
  return {
    unpacked: await loadUnpacked(context.need('packages')),
    policy: await readPolicy(policiesOf(recipe)),
    folders: [
      ...ownFolders(recipe),
      ...tasks.filter((name) => name !== 'packages').map((name) => context.need(name)),
      ...image.files,
    ],
    files: new Map([['etc/mbl/image.json', formatImage(description)]]),
    hostname,
    services,
    users,
    login,
    judge: description.keys === 'production' ? refuseWaysIn : undefined,
  };
}

function refuseWaysIn(tree: Tree): void {
  const reasons = waysIn(tree).map(({ path, from, what }) => `${path} (${from}) ${what}`);
  if (reasons.length > 0) throw loginRefused(reasons);
}

function pathOf(paths: ReadonlyMap<string, string>, name: string): string {
  const path = paths.get(name);
  if (path === undefined)
    throw new MblError('builder/download-missing', `the package ${name} was not fetched`);
  return path;
}

async function writeFiles(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [path, data] of files) {
    const target = join(folder, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, data);
  }
}

// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readDeb } from '../debian/deb.ts';
import { downloadPackages } from '../debian/packages.ts';
import { describeFirmware, type FirmwareSources, sourceInputs } from '../firmware/sources.ts';
import type { LockedNpm, LockedPackage } from '../recipes/lock.ts';
import { BUNDLED_COMPONENTS } from '../rootfs/bundles.ts';
import { loadComponents } from '../rootfs/unpack.ts';
import type { Task } from '../task.ts';
import { type BillComponent, formatBill } from '@mbl/formats';
import { describePackage } from '../materials/debian.ts';
import { describeNode } from '../materials/npm.ts';

export interface ManifestRecipe {
  readonly cache: string;
  readonly suite: string;
  /** Name and version of the image. */
  readonly image: { readonly name: string; readonly version: string };
  readonly sources: FirmwareSources;
  /** The kernel and what the initramfs is made of. */
  readonly boot: readonly LockedPackage[];
  readonly node: LockedNpm;
}

const componentsFile = 'components.json';

/**
 * The tasks `boot-components`, what the kernel's and the initramfs's packages say of themselves (they are large to read, and seldom
 * others), and `manifest`: `packages.cdx.json`, everything that an image is made of, from the firmware to the packages inside the device's
 * services.
 */
export function manifestTasks(recipe: ManifestRecipe): Task[] {
  return [bootComponentsTask(recipe), manifestTask(recipe)];
}

function bootComponentsTask({ cache, suite, boot }: ManifestRecipe): Task {
  return {
    name: 'boot-components',
    title: 'Bill of materials of the boot',
    inputs: { boot: boot.map(({ name, version, sha256 }) => `${name} ${version} ${sha256}`) },
    code: import.meta.filename,
    tools: ['image'],
    async run(context) {
      const { signal } = context;
      const paths = await downloadPackages(
        boot,
        { suite, architecture: 'arm64' },
        { cache, signal, log: (line) => context.log(line) },
      );
      const open = async (name: string) => {
        const path = paths.get(name);
        return path === undefined ? undefined : await readDeb(path, name, signal);
      };
      const components: BillComponent[] = [];
      for (const item of boot) {
        const deb = await open(item.name);
        if (deb) components.push(await describePackage(item, deb, open));
      }
      await writeFile(join(context.out, componentsFile), JSON.stringify(components));
    },
  };
}

function manifestTask({ image, sources, node }: ManifestRecipe): Task {
  return {
    name: 'manifest',
    title: 'Bill of materials',
    inputs: {
      image,
      sources: Object.values(sources).map(sourceInputs),
      node: `${node.name} ${node.version} ${node.integrity}`,
    },
    code: import.meta.filename,
    needs: ['boot-components', 'packages', 'device-services'],
    async run(context) {
      const listed = async (task: string, file: string): Promise<BillComponent[]> =>
        JSON.parse(await readFile(join(context.need(task), file), 'utf8')) as BillComponent[];
      const components = [
        ...describeFirmware(sources),
        describeNode(node),
        ...(await listed('boot-components', componentsFile)),
        ...(await loadComponents(context.need('packages'))),
        ...(await listed('device-services', BUNDLED_COMPONENTS)),
      ];
      await writeFile(
        join(context.out, 'packages.cdx.json'),
        formatBill({ type: 'operating-system', ...image }, components),
      );
    },
  };
}

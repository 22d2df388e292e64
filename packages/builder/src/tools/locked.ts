// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { Architecture } from '../debian/packages.ts';
import type { TaskTools } from '../engine/run-tasks.ts';
import type { ToolEnvironment } from '../engine/current-tools.ts';
import { type Lock, type LockedPackage, readLock } from '../recipes/lock.ts';
import type { Json } from '../task.ts';
import { toolboxes, type ToolboxName, toolboxNames, toolSuite } from './contents.ts';
import { hostArchitecture, layout, openToolbox, type ToolboxOptions } from './toolbox.ts';

/** The packages of every toolbox, for each kind of host. */
export type LockedTools = Readonly<
  Record<ToolboxName, Readonly<Record<Architecture, readonly LockedPackage[]>>>
>;

/** The lock of a toolbox, below a folder of locks, without its ending. */
export function toolsLockFile(name: ToolboxName, architecture: Architecture): string {
  return `${toolSuite}/tools-${name}-${architecture}`;
}

/** The packages of a lock that a toolbox takes: a lock holds all that apt would install, so that it can be added to. */
export function packagesOf(name: ToolboxName, { packages }: Lock): readonly LockedPackage[] {
  const { without } = toolboxes[name];
  return packages.filter((each) => !without.includes(each.name));
}

/** The toolboxes as tasks name them; each is made once, by the first that needs it. */
export function taskTools(tools: LockedTools, cache: string): Readonly<Record<ToolboxName, TaskTools>> {
  const opened = new Map<ToolboxName, Promise<ToolEnvironment>>();
  const one = (name: ToolboxName): TaskTools => {
    const packages = tools[name][hostArchitecture()];
    return {
      identity: {
        layout,
        links: toolboxes[name].links,
        packages: packages.map(({ name: each, version, sha256 }) => `${each} ${version} ${sha256}`),
      },
      open(context) {
        let toolbox = opened.get(name);
        if (toolbox === undefined) {
          toolbox = openToolbox(name, packages, {
            cache,
            signal: context?.signal,
            log: (line) => context?.log(line),
            progress: (fraction, what) => context?.progress(fraction, what),
          });
          opened.set(name, toolbox);
        }
        return toolbox;
      },
    };
  };
  return Object.fromEntries(toolboxNames.map((name) => [name, one(name)])) as Record<ToolboxName, TaskTools>;
}

/** What tools a toolbox holds, on both kinds of host: a value that is equal on each. */
export function toolVersions(tools: LockedTools): Readonly<Record<ToolboxName, Json>> {
  const versions = (packages: readonly LockedPackage[]): Json =>
    packages.map((each) => `${each.name} ${each.version}`);
  const versionsOf = (name: ToolboxName): Json => {
    const { amd64, arm64 } = tools[name];
    return { layout, links: toolboxes[name].links, amd64: versions(amd64), arm64: versions(arm64) };
  };
  return Object.fromEntries(toolboxNames.map((name) => [name, versionsOf(name)])) as Record<
    ToolboxName,
    Json
  >;
}

/**
 * A toolbox of the distribution's own lock, for what the workbench starts beside builds. Throws `builder/no-tools` when it is not locked.
 */
export async function openLockedToolbox(
  osDirectory: string,
  name: ToolboxName,
  options: ToolboxOptions,
): Promise<ToolEnvironment> {
  const file = join(osDirectory, 'locks', `${toolsLockFile(name, hostArchitecture())}.json`);
  const packages = packagesOf(name, await readLock(file));
  if (packages.length > 0) return await openToolbox(name, packages, options);
  throw new MblError('builder/no-tools', `The tools of this workbench are not locked: there is no ${file}.`, {
    remedy: 'Restore it from version control, or run: ./mbl build',
  });
}

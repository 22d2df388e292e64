// SPDX-License-Identifier: Apache-2.0
//
// mbl-apps: brings what runs on the device to what is wanted of it, by what signed metadata says, and ends. docs/decisions/0028.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadImage } from '../common/image.ts';
import { runForOutput } from '../common/output.ts';
import { ownerOf } from '../storage/folders.ts';
import { answerAll } from './ask-folder.ts';
import { type DeviceNode, writeBundle } from './bundle.ts';
import { confineApps, confinementPlaces } from './confinement.ts';
import { deviceEffects } from './device-effects.ts';
import type { WrittenApp } from './executor.ts';
import { judgeApps } from './judge.ts';
import { AppManager, type ManagerOptions } from './manager.ts';
import { devicePlaces, pathsOf, systemFiles } from './places.ts';
import { type AppPolicy, readPolicy } from './policy.ts';
import { writeUnits } from './unit.ts';

const paths = pathsOf(devicePlaces);
const effects = deviceEffects({ native: systemFiles.native, data: devicePlaces.data });
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function ground(): Promise<ManagerOptions['ground']> {
  const { keys, components } = await loadImage(systemFiles.image);
  const root = await readFile(systemFiles.root);
  return {
    policy: await policy(),
    unconfined: await confineApps(confinementPlaces),
    os: components.root.version,
    now: () => new Date(),
    judge: (signed, rollbackIndex, now) =>
      judgeApps(signed, { root, keys, rollbackIndex, ...(now && { now }) }),
  };
}

/** Where the policy of the image cannot be read nothing is allowed but what always is. */
async function policy(): Promise<AppPolicy> {
  const names = await readdir(systemFiles.policy).catch(() => []);
  const files = names
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .map((name) => join(systemFiles.policy, name));
  try {
    return readPolicy(await Promise.all(files.map(async (path) => ({ path, bytes: await readFile(path) }))));
  } catch (error) {
    say(`the policy is not followed: ${error instanceof Error ? error.message : String(error)}`);
    return { rules: [] };
  }
}

async function writer(): Promise<ManagerOptions['write']> {
  const seccomp = JSON.parse(await readFile(systemFiles.seccomp, 'utf8')) as object;
  return async (app, team, slot): Promise<WrittenApp> => {
    const devices: DeviceNode[] = [];
    for (const path of app.permissions.devices) {
      const found = await effects.device(path);
      // Without it the app starts all the same, and says what it lacks.
      if (found === undefined) say(`${app.name}: there is no ${path}`);
      else devices.push({ path, ...found });
    }
    return {
      bundle: writeBundle({ app, slot, paths, seccomp, devices }),
      units: writeUnits({ app, team, slot, paths }),
    };
  };
}

/** group(5) has its number where passwd(5) has that of a user. */
async function groupOf(name: string): Promise<number> {
  return (await ownerOf('/etc/group', name)).uid;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { asks: { type: 'boolean', default: false } } });
  try {
    if (values.asks) await answerAll({ effects, paths, run: runForOutput, say });
    else
      await new AppManager({
        effects,
        paths,
        write: await writer(),
        ground: await ground(),
        group: await groupOf('mbl-apps'),
        callersGroup: await groupOf('mbl-cloud-client'),
      }).run();
    process.exitCode = 0;
  } catch (error) {
    say(`<3>failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

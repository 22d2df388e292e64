// SPDX-License-Identifier: Apache-2.0
import type { Effects } from './effects.ts';
import { isRefusal } from './judge.ts';
import type { AppPaths } from './places.ts';
import type { View } from './plan.ts';
import { formatSlots, parseSlots } from './state.ts';

/**
 * Removes what no team has any more: releases other than the one that runs and the one before it, images and volumes that none of those names. As
 * long as a release cannot be read, nobody knows whose volumes those are: they stay.
 */
export async function sweep(effects: Effects, paths: AppPaths, { teams, kept }: View): Promise<void> {
  const images = new Set<string>();
  const owners = new Map<string, string>();
  let readable = true;
  for (const [key, judged] of kept) {
    const [team = '', release = ''] = key.split('/');
    const state = teams.get(team);
    if (release !== state?.current && release !== state?.previous) {
      await effects.remove(paths.release(team, release));
      continue;
    }
    if (isRefusal(judged)) {
      readable = false;
      continue;
    }
    for (const app of judged.apps) {
      images.add(`${app.image.fsVerity}.erofs`);
      owners.set(app.name, team);
    }
  }
  for (const file of await effects.list(paths.images))
    if (!images.has(file)) await effects.remove(`${paths.images}/${file}`);
  if (!readable) return;
  const slots = parseSlots((await effects.read(paths.slots, 1 << 20)) ?? '');
  // Volumes first: as long as they are there the app's number is nobody else's.
  for (const app of await effects.list(paths.volumes)) {
    const team = owners.get(app);
    if (team === undefined || (slots.get(app)?.team ?? team) !== team)
      await effects.remove(paths.volumesOf(app));
  }
  for (const app of await effects.list(paths.stopped))
    if (!owners.has(app)) await effects.remove(paths.stoppedApp(app));
  const left = new Map([...slots].filter(([app, { team }]) => owners.get(app) === team));
  if (left.size < slots.size) await effects.write(paths.slots, formatSlots(left), { mode: 0o600 });
}

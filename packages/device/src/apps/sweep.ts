// SPDX-License-Identifier: Apache-2.0
import type { Effects } from './effects.ts';
import { isRefusal } from './judge.ts';
import type { AppPaths } from './places.ts';
import type { View } from './plan.ts';
import { formatSlots, parseSlots } from './state.ts';

/**
 * Removes what no team has any more: releases other than the one that runs and the one before it, images and volumes that none of those names. As
 * long as it cannot be read what a team has, nobody knows whose volumes and images those are: they stay.
 */
export async function sweep(
  effects: Effects,
  paths: AppPaths,
  { teams, kept, desired }: View,
): Promise<void> {
  const images = new Set<string>();
  const owners = new Map<string, string>();
  let readable = true;
  const lost = new Set<string>();
  for (const team of await effects.list(paths.teams)) {
    if (teams.has(team)) continue;
    // Its state is damaged: what is to be there is brought again, and finds what it had.
    if (desired?.some((one) => one.team === team) === false) await effects.remove(paths.team(team));
    else lost.add(team);
  }
  for (const [team, { current, previous }] of teams)
    for (const release of [current, previous])
      if (release !== '' && !kept.has(`${team}/${release}`)) readable = false;
  for (const [key, judged] of kept) {
    const [team = '', release = ''] = key.split('/');
    if (lost.has(team)) continue;
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
  if (!readable || lost.size > 0) return;
  for (const file of await effects.list(paths.images))
    if (!images.has(file)) await effects.remove(`${paths.images}/${file}`);
  const slots = parseSlots((await effects.read(paths.slots, 1 << 20)) ?? '');
  // Volumes first: as long as they are there the app's number is nobody else's.
  for (const app of await effects.list(paths.volumes)) {
    const team = owners.get(app);
    if (team === undefined || (slots.get(app)?.team ?? team) !== team)
      await effects.remove(paths.volumesOf(app));
  }
  for (const app of await effects.list(paths.stopped))
    if (!app.startsWith('.') && !owners.has(app)) await effects.remove(paths.stoppedApp(app));
  const left = new Map([...slots].filter(([app, { team }]) => owners.get(app) === team));
  if (left.size < slots.size) await effects.write(paths.slots, formatSlots(left), { mode: 0o600 });
}

/** Removes what a power cut left of files that were being written (`Effects.write`): nobody may come to write them again. */
export async function removeDrafts(effects: Effects, paths: AppPaths): Promise<void> {
  const { installed, accepted, stopped } = paths;
  const teams = await effects.list(paths.teams);
  const folders = [
    ...[installed, accepted, stopped],
    ...teams.flatMap((team) => [paths.team(team), paths.releases(team)]),
  ];
  for (const folder of folders)
    for (const name of await effects.list(folder))
      if (name.startsWith('.') && name.endsWith('.new')) await effects.remove(`${folder}/${name}`);
}

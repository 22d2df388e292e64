// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError } from 'commander';
import { keyOptions } from '../../parameters.ts';
import { required, value, values } from '../../verb.ts';

/** An app on a device. */
export const appArgument = required('the name of the app', appName);

/** On which device. */
export const deviceOption = {
  on: value('device', 'the device, by its id or its endpoint name (default: the only one)'),
};

/** Whose apps. */
export const teamArgument = required('the team that answers for the apps', teamName);

async function appName(text: string): Promise<string> {
  const { appNameRule, isAppName } = await import('@mbl/formats');
  if (!isAppName(text)) throw new InvalidArgumentError(`It must be ${appNameRule}.`);
  return text;
}

export async function teamName(text: string): Promise<string> {
  const { isTeam, osTeam, teamRule } = await import('@mbl/formats');
  if (!isTeam(text) || text === osTeam) throw new InvalidArgumentError(`It must be ${teamRule}; not "os".`);
  return text;
}

/** What is pushed, and by whose key. */
export const pushOptions = {
  ...keyOptions,
  team: value('team', 'the team that answers for it (default: the name of the app)'),
  image: value('file', 'the image, in the place of the one that app.yaml names'),
  with: values('folder', 'another app of the same release: a folder with an app.yaml'),
};

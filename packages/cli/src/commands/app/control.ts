// SPDX-License-Identifier: Apache-2.0
import type { Cli, Outcome } from '../../cli.ts';
import { required, verb } from '../../verb.ts';
import { appArgument, deviceOption, teamName } from './options.ts';

export const startApp = verb({
  name: 'start',
  description: 'start an app that was stopped',
  arguments: { app: appArgument },
  options: deviceOption,
  run: async (cli, { app, on }) => await control(cli, 'start', app, on),
});

export const stopApp = verb({
  name: 'stop',
  description: 'stop an app, until it is started or its device restarts',
  arguments: { app: appArgument },
  options: deviceOption,
  run: async (cli, { app, on }) => await control(cli, 'stop', app, on),
});

export const restartApp = verb({
  name: 'restart',
  description: 'stop an app and start it again',
  arguments: { app: appArgument },
  options: deviceOption,
  run: async (cli, { app, on }) => await control(cli, 'restart', app, on),
});

export const rollBackApps = verb({
  name: 'rollback',
  description: "have the release before this one of a team's apps run again, which the device has kept",
  arguments: { team: required('the team that answers for the apps', teamName) },
  options: deviceOption,
  more: 'What is ordered stays as it is. Order what is to stay: mbl app deploy TEAM RELEASE',
  run: async (cli, { team, on }) => await control(cli, 'rollback', team, on),
});

const done = {
  start: 'is started',
  stop: 'is stopped',
  restart: 'is started again',
  rollback: 'is back at the release before',
} as const;

async function control(
  cli: Cli,
  action: keyof typeof done,
  name: string,
  idOrName: string | undefined,
): Outcome {
  const { askApp } = await import('../../workbench/ask-app.ts');
  const { output } = cli;
  const { device, answer } = await askApp(cli, { action, name, device: idOrName });
  output.value(answer);
  output.line(`${name} ${done[action]} on ${device.endpoint_name}`);
  return 0;
}

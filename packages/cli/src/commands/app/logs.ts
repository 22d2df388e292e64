// SPDX-License-Identifier: Apache-2.0
import { exitCodes } from '../../cli.ts';
import { wholeNumber } from '../../parameters.ts';
import { flag, value, verb } from '../../verb.ts';
import { appArgument, deviceOption } from './options.ts';

export const logsOfApp = verb({
  name: 'logs',
  description: 'what an app wrote on its device',
  arguments: { app: appArgument },
  options: {
    ...deviceOption,
    follow: flag('go on until Ctrl-C', { short: 'f' }),
    lines: value('number', 'how many of the last lines, 1 to 200', {
      short: 'n',
      parse: wholeNumber(1, 200),
      fallback: 50,
    }),
  },
  async run(cli, { app, on, follow, lines }) {
    const { chooseDevice } = await import('../../workbench/deploy-apps.ts');
    const { followLog } = await import('../../workbench/app-log.ts');
    const { client, device } = await chooseDevice(cli, on);
    await followLog(cli, { client, device, app, lines, follow, signal: cli.signal });
    return follow ? exitCodes.interrupted : 0;
  },
});

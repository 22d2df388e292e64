// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { wholeNumber } from '../../parameters.ts';
import { plainText } from '../../plain.ts';
import { rest, value, verb } from '../../verb.ts';
import { appArgument, deviceOption } from './options.ts';

export const runInApp = verb({
  name: 'run',
  description: 'run a program inside an app on its device, with what the app may do and no more',
  arguments: { app: appArgument, command: rest('the program and its arguments, after --') },
  options: {
    ...deviceOption,
    timeout: value('seconds', 'when it is killed, 1 to 300', { parse: wholeNumber(1, 300), fallback: 30 }),
  },
  more: 'As in: mbl app run sensor -- /bin/ls -l /data\nThe exit code is that of the program; of what it writes the first 8 KiB are shown.',
  async run(cli, { app, command, on, timeout }) {
    const { askApp } = await import('../../workbench/ask-app.ts');
    const { output } = cli;
    if (command.length === 0)
      throw new MblError('cli/no-command', 'It is not said which program is to run.', {
        remedy: `As in: ./mbl app run ${app} -- /bin/ls`,
      });
    const { answer } = await askApp(cli, { action: 'run', name: app, device: on, command, timeout });
    output.value(answer);
    const text = plainText(answer.output ?? '');
    if (!output.json) output.raw(text === '' || text.endsWith('\n') ? text : `${text}\n`);
    return answer.exit ?? 0;
  },
});

// SPDX-License-Identifier: Apache-2.0
import { exitCodes } from '../../cli.ts';
import { optional, verb } from '../../verb.ts';
import { deviceOption, pushOptions } from './options.ts';

export const developApp = verb({
  name: 'dev',
  description: 'build an app, run it on a device, show what it writes, and again when a file changes',
  json: false,
  arguments: { source: optional('the folder with its app.yaml (default: this folder)') },
  options: { ...pushOptions, ...deviceOption },
  more: 'Of the releases that it makes the last five are kept. The device keeps the app when you stop.',
  async run(cli, { source, team, image, with: others, keys, on }) {
    const { develop } = await import('../../workbench/app-development.ts');
    await develop(cli, { sources: [source, ...others], ...{ team, image, keys, device: on } });
    return exitCodes.interrupted;
  },
});

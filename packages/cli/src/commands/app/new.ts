// SPDX-License-Identifier: Apache-2.0
import { oneOf, required, verb } from '../../verb.ts';

export const newApp = verb({
  name: 'new',
  description: 'make a folder with an app to start from',
  arguments: { app: required('the name of the app, and of its folder') },
  options: {
    template: oneOf('language', 'what it is written in', ['c', 'go', 'node', 'python', 'shell'], 'c'),
  },
  async run(cli, { app: name, template }) {
    const { join, resolve } = await import('node:path');
    const { newApp: make } = await import('@mbl/apps');
    const { output, workspace } = cli;
    const folder = resolve(name);
    const files = await make({ name, examples: join(workspace.root, 'examples/apps'), template, folder });
    output.value({ folder, template, files });
    output.line(`${folder} has ${files.join(', ')}`);
    const first = files.includes('Makefile') ? `make -C ${name} && ` : '';
    output.remark(`Next: ${first}./mbl app push ${name}`);
  },
});

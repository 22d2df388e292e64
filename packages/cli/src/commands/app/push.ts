// SPDX-License-Identifier: Apache-2.0
import { optional, value, verb } from '../../verb.ts';
import { pushOptions } from './options.ts';
import { releaseName } from '../release/options.ts';

export const pushApp = verb({
  name: 'push',
  description: "build an app, make its team's release of it, sign it with the workbench's keys, publish it",
  arguments: { source: optional('the folder with its app.yaml (default: this folder)') },
  options: {
    ...pushOptions,
    release: value('name', 'the name of the release (default: the version, and what tells it from others)'),
    notes: value('text', 'what people should know of it', { fallback: '' }),
  },
  more: `A team that is not there is made, with a key of its own in .mbl/teams. The service of this workspace serves the release at once; another one after
mbl release publish. Where keys are elsewhere: mbl app build, mbl release create, mbl release sign.`,
  async run(cli, { source, team, image, with: others, keys, release, notes }) {
    const { buildAndPush } = await import('../../workbench/app-development.ts');
    const { output } = cli;
    if (release !== undefined) await releaseName(release);
    const pushed = await buildAndPush(cli, {
      sources: [source, ...others],
      ...{ team, image, keys, release, notes, passing: false },
    });
    const { apps } = pushed;
    output.value({ team: pushed.team, release: pushed.release, newKey: pushed.newKey ?? null, apps });
    output.line(
      `${pushed.team} ${pushed.release} is signed: ${apps.map((app) => `${app.name} ${app.release}`).join(', ')}`,
    );
    if (pushed.newKey !== undefined)
      output.remark(`The team ${pushed.team} is new. Its key, which alone signs its apps: ${pushed.newKey}`);
    output.remark(`Next: ./mbl app deploy ${pushed.team} ${pushed.release} --to NAME`);
  },
});

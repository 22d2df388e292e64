// SPDX-License-Identifier: Apache-2.0
import { formatSize } from '../../table.ts';
import { required, verb } from '../../verb.ts';
import { releaseArgument, repositoryOption } from './options.ts';

export const packageRelease = verb({
  name: 'package',
  description:
    'put a published release into one file, which any LwM2M server writes into object 5 of a device',
  arguments: { release: releaseArgument, file: required('the file to write, a tar archive') },
  options: repositoryOption,
  async run(cli, { release: name, file, repository }) {
    const { resolve } = await import('node:path');
    const { osTeam } = await import('@mbl/formats');
    const { packRelease, readRepository } = await import('@mbl/releases');
    const { repositoryFolder } = await import('../../workbench/releases.ts');
    const { output, signal } = cli;
    const folder = repositoryFolder(cli, repository);
    const to = resolve(file);
    const state = await readRepository(folder);
    const bytes = await output.progress.phase(
      `pack release ${name}`,
      async (report) =>
        await packRelease(folder, state, to, {
          team: osTeam,
          name,
          signal,
          onFile: (path, done, all) => report(done / all, path),
        }),
    );
    output.value({ release: name, file: to, bytes });
    output.line(`${to} brings ${name}: ${formatSize(bytes)}`);
  },
});

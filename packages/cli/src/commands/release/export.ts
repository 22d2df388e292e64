// SPDX-License-Identifier: Apache-2.0
import { required, verb } from '../../verb.ts';
import { releaseArgument, repositoryOption } from './options.ts';

export const exportRelease = verb({
  name: 'export',
  description: 'put a published release into a folder, such as a stick that a device is to be updated from',
  arguments: { release: releaseArgument, folder: required('where to: a stick with the label MBL-RELEASE') },
  options: repositoryOption,
  async run(cli, { release: name, folder: target, repository }) {
    const { open } = await import('node:fs/promises');
    const { join, resolve } = await import('node:path');
    const { osTeam } = await import('@mbl/formats');
    const { exportRelease: copy, readRepository } = await import('@mbl/releases');
    const { repositoryFolder } = await import('../../workbench/releases.ts');
    const { output, signal } = cli;
    const folder = repositoryFolder(cli, repository);
    const to = resolve(target);
    const state = await readRepository(folder);
    const files = await output.progress.phase(
      `copy release ${name}`,
      async (report) =>
        await copy(folder, state, to, {
          team: osTeam,
          name,
          signal,
          onFile: (file, done, all) => report(done / all, file),
        }),
    );
    // Last, and never twice the same: a device carries out each order of a medium once.
    await using order = await open(join(to, 'release.txt'), 'w', 0o644);
    await order.writeFile(`${name}\nwritten ${new Date().toISOString()}\n`);
    await order.sync();
    output.value({ release: name, folder: to, files });
    output.line(`${to} holds ${name}: ${files.length} files, and release.txt, which names it`);
  },
});

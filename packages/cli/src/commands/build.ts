// SPDX-License-Identifier: Apache-2.0
import { formatDuration, formatSize } from '../table.ts';
import { flag, value, verb } from '../verb.ts';
import { imageOptions, wholeNumber } from '../parameters.ts';

export const build = verb({
  name: 'build',
  description: 'build a signed image',
  options: {
    ...imageOptions,
    explain: flag('say why each task ran or did not'),
    updateLock: flag('take the newest packages and sources, and write their versions to the locks'),
    archive: value('file', 'write all that the build fetched into a file, for a build without the network'),
    fromArchive: value('file', 'fetch nothing: take all from a file that --archive wrote', {
      conflicts: ['archive', 'updateLock'],
    }),
    jobs: value('number', 'how many tasks run at once', { parse: wholeNumber(1) }),
  },
  async run(cli, options) {
    const { buildImage } = await import('../workbench/image.ts');
    const { output } = cli;
    const built = await buildImage(cli, options);
    const { directory, description, tasks, lockChanges, archive, overrides, seconds } = built;
    output.value({
      directory,
      machine: options.machine,
      image: options.image,
      buildId: description.buildId,
      keys: description.keys,
      seconds,
      overrides,
      lockChanges,
      archive,
      tasks: tasks.map(({ task, title, seconds, cached, reasons, folder }) => ({
        task,
        title,
        seconds,
        cached,
        reasons,
        folder,
      })),
    });
    for (const override of overrides) output.line(override);
    if (options.updateLock && lockChanges.length === 0) output.line('the locks hold the newest versions');
    if (options.explain) {
      output.table(
        ['TASK', 'TIME', 'WHY'],
        tasks.map(({ title, seconds, cached, reasons }) => [
          title,
          cached ? 'cached' : formatDuration(seconds * 1000),
          reasons.length > 0 ? reasons.join('; ') : cached ? 'nothing changed' : 'not in the cache',
        ]),
      );
      output.line();
    }
    if (archive !== undefined) {
      const what = `${archive.files} files that it was made from, ${formatSize(archive.size)}`;
      output.line(`${archive.path} holds the ${what}`);
    }
    output.line(`build ${description.buildId} is in ${directory}`);
    if (description.keys === 'development')
      output.remark(
        'Warning: development keys signed it, for the desk and for virtual boards. For a product: ./mbl keys init --production --keys FOLDER',
      );
  },
});

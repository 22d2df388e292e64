// SPDX-License-Identifier: Apache-2.0
import type { Cli, Outcome } from '../cli.ts';
import { formatDuration } from '../table.ts';
import { buildImage, type ImageOptions } from '../workbench/image.ts';

export interface BuildOptions extends ImageOptions {
  readonly explain?: boolean;
}

/** Builds an image and says where it is; with `explain`, why each task ran. */
export async function build(cli: Cli, options: BuildOptions): Outcome {
  const { output } = cli;
  const { directory, description, tasks, lockChanges, overrides, seconds } = await buildImage(cli, options);
  output.value({
    directory,
    machine: options.machine,
    image: options.image,
    buildId: description.buildId,
    keys: description.keys,
    seconds,
    overrides,
    lockChanges,
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
  if (options.updateLock === true && lockChanges.length === 0)
    output.line('the locks hold the newest versions');
  if (options.explain === true) {
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
  output.line(`build ${description.buildId} is in ${directory}`);
  if (description.keys === 'development')
    output.remark(
      'Warning: development keys signed it, for the desk and for virtual boards. For a product: ./mbl keys init --production --keys FOLDER',
    );
}

// SPDX-License-Identifier: Apache-2.0
import { formatSize } from '../../table.ts';
import { imageOptions, wholeNumber } from '../../parameters.ts';
import { oneOf, rest, value, values, verb } from '../../verb.ts';
import { releaseArgument, repositoryOption } from './options.ts';

const names = ['boot-firmware', 'kernel', 'root'] as const;

export const createRelease = verb({
  name: 'create',
  description: 'make a release of built images, or of packages of apps, for their team to sign',
  arguments: {
    release: releaseArgument,
    images: rest(
      'folders of images, one a machine (default: what ./mbl build makes); with --team, packages of apps',
    ),
  },
  options: {
    ...repositoryOption,
    machine: imageOptions.machine,
    image: imageOptions.image,
    team: value('team', 'whose release: os, or a team of apps', { fallback: 'os' }),
    boardKeys: oneOf(
      'keys',
      'for which boards a release of apps is: what the keys are for that they trust',
      ['development', 'production'],
      'development',
    ),
    component: values('name', 'only this component: boot-firmware, or kernel and root'),
    rollbackIndex: value(
      'number',
      'devices that accepted a higher index refuse it (default: that of its images)',
      { parse: wholeNumber(0) },
    ),
    level: value(
      'number',
      'how hard what devices fetch is compressed, 1 to 22: 3 takes a tenth of the time',
      {
        parse: wholeNumber(1, 22),
        fallback: 19,
      },
    ),
    notes: value('text', 'what people should know of it', { fallback: '' }),
  },
  async run(cli, { release: name, images, repository, machine, image, team, boardKeys, component, ...more }) {
    const { join, resolve } = await import('node:path');
    const { addTargets, composeApps, composeRelease, readRepository, releasesBefore, writeStaged } =
      await import('@mbl/releases');
    const { osTeam } = await import('@mbl/formats');
    const { MblError } = await import('@mbl/trust');
    const { repositoryFolder, repositoryReleases } = await import('../../workbench/releases.ts');
    const { output, workspace, signal } = cli;
    const folder = repositoryFolder(cli, repository);
    const unknown = component.find((one) => !(names as readonly string[]).includes(one));
    if (unknown !== undefined)
      throw new MblError('cli/no-component', `There is no component ${unknown}.`, {
        remedy: `Take one of ${names.join(', ')}.`,
      });
    const { packageFolder } = await import('../../workbench/apps.ts');
    const state = await readRepository(folder);
    const { level, notes, rollbackIndex } = more;
    const common = { notes, name, repository: folder, signal };
    const before = releasesBefore(await repositoryReleases(folder, state), team, name);
    const ofOs = async () =>
      await composeRelease({
        ...common,
        ...(rollbackIndex === undefined ? {} : { rollbackIndex }),
        images:
          images.length > 0
            ? images.map((one) => resolve(one))
            : [join(workspace.build, `${machine}-${image}`)],
        components: names.filter((one) => component.length === 0 || component.includes(one)),
        before,
        level,
      });
    const ofApps = async () => {
      const packages = await Promise.all(images.map(async (one) => await packageFolder(cli, one)));
      return await composeApps({
        ...common,
        rollbackIndex: rollbackIndex ?? 0,
        team,
        keys: boardKeys,
        packages,
        before,
        level,
      });
    };
    const composed = await output.progress.phase(
      team === osTeam ? `take release ${name} out of its images` : `make release ${name} of ${team}`,
      team === osTeam ? ofOs : ofApps,
    );
    addTargets(state, team, composed.targets, new Date());
    await writeStaged(folder, state);
    const { release } = composed;
    output.value({ repository: folder, release });
    output.table(
      ['MACHINE', 'COMPONENT', 'VERSION', 'SIZE', 'SHA-256'],
      release.images.flatMap((one) =>
        one.components.map((part) => [
          one.machine,
          part.name,
          part.version,
          formatSize(part.size),
          part.sha256.slice(0, 16),
        ]),
      ),
    );
    output.remark(
      `Release ${name}, of ${release.keys} keys, waits in ${folder} for a signature: ./mbl release sign`,
    );
  },
});

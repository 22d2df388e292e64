// SPDX-License-Identifier: Apache-2.0
import { formatSize } from '../../table.ts';
import { optional, value, verb } from '../../verb.ts';

export const buildApp = verb({
  name: 'build',
  description: 'make the package of an app from its image',
  arguments: {
    source: optional('a folder with an app.yaml, or an image (default: this folder)'),
  },
  options: {
    image: value('file', 'the image, in the place of the one that app.yaml names'),
    tag: value('name', 'which image of an archive of several'),
    appName: value('name', 'the name of the app, for an image without an app.yaml'),
    appVersion: value('version', 'its version, for an image without an app.yaml'),
    output: value('folder', 'where the package goes (default: build/apps/NAME)'),
  },
  more: `An image is a file of docker save or docker export, or the layout of OCI as a folder or an archive, for linux/arm64. It may have 4 GiB,
1 GiB a file, 250,000 files, 64 folders in one another, 128 layers, and 300 times its compressed size.`,
  async run(cli, { output: given, ...choice }) {
    const { join, resolve } = await import('node:path');
    const { buildApp: build } = await import('@mbl/apps');
    const { chooseApp, packagingEnvironment } = await import('../../workbench/apps.ts');
    const { output, workspace, signal } = cli;
    const { app, source } = await chooseApp(choice);
    const environment = await packagingEnvironment(cli);
    const folder = given === undefined ? join(workspace.build, 'apps', app.name) : resolve(given);
    const built = await output.progress.phase(
      `package ${app.name} ${app.version}`,
      async (report) =>
        await build({
          app,
          source,
          output: folder,
          environment,
          userEnvironment: cli.environment,
          signal,
          onPhase: (what) => report(undefined, what),
        }),
      ({ kind, entries, packages }) => ({ note: `${kind}, ${entries} files, ${packages} packages known` }),
    );
    const { changes, exposed, imageId, kind, entries, packages } = built;
    output.value({ folder, kind, imageId, entries, packages, changes, exposed, app: built.app });
    output.line(`${app.name} ${app.version}, ${formatSize(built.app.image.size)}, is in ${folder}`);
    output.line(`fs-verity ${built.app.image.fsVerity}`);
    if (changes.setuid > 0)
      output.remark(`${changes.setuid} set-user-ID bits are gone: an app has one user.`);
    if (changes.attributes > 0)
      output.remark(`${changes.attributes} capabilities and labels of files are gone.`);
    if (exposed.length > 0)
      output.remark(
        `The image exposes ${exposed.join(', ')}; only what app.yaml lists under "ports" is asked for.`,
      );
  },
});

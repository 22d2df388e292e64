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
    const { packageApp } = await import('../../workbench/apps.ts');
    const { output } = cli;
    const { app, folder, changes, exposed, imageId, kind, entries, packages } = await packageApp(
      cli,
      choice,
      given,
    );
    output.value({ folder, kind, imageId, entries, packages, changes, exposed, app });
    output.line(`${app.name} ${app.release}, ${formatSize(app.image.size)}, is in ${folder}`);
    output.line(`fs-verity ${app.image.fsVerity}`);
  },
});

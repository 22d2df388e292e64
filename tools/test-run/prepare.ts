// SPDX-License-Identifier: Apache-2.0
import { buildImage, type Cli } from '@mbl/cli';

/**
 * Builds what the stories share, once: both images, with the working copy's own keys. Returns the environment that the stories run in: the
 * folders of the images. What a story changes it copies first.
 */
export async function prepareStories(cli: Cli): Promise<Record<string, string>> {
  const folders: Record<string, string> = {};
  for (const image of ['development', 'production']) {
    const { directory } = await buildImage(cli, { machine: 'qemu-arm64', image, layer: [] });
    folders[`MBL_TEST_${image.toUpperCase()}`] = directory;
  }
  return folders;
}

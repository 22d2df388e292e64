// SPDX-License-Identifier: Apache-2.0
import { required, value, values, verb } from '../../verb.ts';

/** Makes of a disk with an image the disk of one device. */
export const writeFactory = verb({
  name: 'write',
  description: "write a device's factory configuration onto its disk, and give the disk GUIDs of its own",
  arguments: { disk: required('a disk image, or a block device that nobody has mounted') },
  options: {
    file: value('file', 'the factory configuration', { fallback: 'factory.json' }),
    with: values('file', 'one more file for the factory partition'),
  },
  async run(cli, { disk, file, with: more }) {
    const { readFile } = await import('node:fs/promises');
    const { basename, resolve } = await import('node:path');
    const { provisionDisk } = await import('@mbl/factory');
    const { maxFactoryBytes, parseFactory, readText } = await import('@mbl/formats');
    const { MblError } = await import('@mbl/trust');
    const { useTools } = await import('../../workbench/tools.ts');
    const { output, signal } = cli;
    const text = await readText(file, maxFactoryBytes);
    if (text === undefined)
      throw new MblError('cli/no-file', `There is no ${file}.`, {
        remedy: 'Make it with: ./mbl factory configure NAME',
      });
    const { endpointName } = parseFactory(text, file);
    const files = new Map<string, Uint8Array | string>([['factory.json', text]]);
    for (const path of more) {
      const name = basename(path);
      if (files.has(name))
        throw new MblError('cli/file-twice', `Two files of the factory partition would be called ${name}.`, {
          remedy: 'Give one of them another name.',
        });
      files.set(name, await readFile(path));
    }
    await useTools(cli);
    await output.progress.phase(`write ${disk}`, async () => {
      await provisionDisk({ disk: resolve(disk), files: Object.fromEntries(files), signal });
    });
    output.value({ disk: resolve(disk), endpoint_name: endpointName, files: [...files.keys()] });
    output.remark(`${disk} is the disk of ${endpointName} now.`);
  },
});

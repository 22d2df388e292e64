// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * What a board's U-Boot configuration (fragments, later ones win, and `mbl.env` beside the first) does that opens its console or the
 * kernel's command line to whoever sits there: a line each. Empty for a U-Boot that boots, or resets.
 */
export async function uBootWaysIn(config: readonly string[]): Promise<string[]> {
  const [first] = config;
  if (first === undefined) return [];
  const fragments = await Promise.all(config.map(async (file) => await readFile(file, 'utf8')));
  const options = settings(fragments.join('\n'), /^(CONFIG_\w+)=(.*)$/gm);
  const variables = settings(await readFile(join(dirname(first), 'mbl.env'), 'utf8'), /^([^\s=#]+)=(.*)$/gm);
  const delay = variables.get('bootdelay') ?? options.get('CONFIG_BOOTDELAY');
  return [
    // doc/README.autoboot: -2 boots at once and reads no key, all other numbers do.
    ...(delay === '-2'
      ? []
      : [`U-Boot's boot delay is ${delay ?? 'the default'}, and a key gives its prompt`]),
    ...(variables.get('stdin') === 'nulldev' ? [] : ["U-Boot's console reads keys: stdin is not nulldev"]),
    ...(variables.has('bootargs') ? ["U-Boot's environment replaces the kernel arguments: bootargs"] : []),
  ];
}

function settings(text: string, line: RegExp): Map<string, string> {
  return new Map([...text.matchAll(line)].map(([, name = '', value = '']) => [name, value.trim()]));
}

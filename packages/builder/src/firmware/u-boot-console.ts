// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * What a board's U-Boot configuration (fragments, later ones win, and `mbl.env` beside the first) does that opens its console, or lets
 * whoever writes to its storage choose what it runs: a line each. Empty for a U-Boot that boots what is signed, or resets.
 */
export async function uBootWaysIn(config: readonly string[]): Promise<string[]> {
  const [first] = config;
  if (first === undefined) return [];
  const fragments = await Promise.all(config.map(async (file) => await readFile(file, 'utf8')));
  const text = fragments.join('\n').replaceAll(/^# (CONFIG_\w+) is not set$/gm, '$1=n');
  const options = settings(text, /^(CONFIG_\w+)=(.*)$/gm);
  const environment = await readFile(join(dirname(first), 'mbl.env'), 'utf8').catch(() => '');
  const variables = settings(environment, /^([^\s=#]+)=(.*)$/gm);
  const delay = variables.get('bootdelay') ?? options.get('CONFIG_BOOTDELAY');
  const deaf = options.get('CONFIG_SYS_CONSOLE_IS_IN_ENV') === 'y' && variables.get('stdin') === 'nulldev';
  const stored = [...options].find(([name, value]) => name.startsWith('CONFIG_ENV_IS_IN_') && value === 'y');
  return [
    // doc/README.autoboot: -2 boots at once and reads no key, all other numbers do.
    ...(delay === '-2'
      ? []
      : [`U-Boot's boot delay is ${delay ?? 'the default'}, and a key gives its prompt`]),
    ...(deaf ? [] : ["U-Boot's console reads keys: its stdin is not nulldev"]),
    ...(variables.has('bootargs') ? ["U-Boot's environment replaces the kernel arguments: bootargs"] : []),
    ...(stored === undefined ? [] : [`U-Boot takes an unsigned environment from its storage: ${stored[0]}`]),
  ];
}

function settings(text: string, line: RegExp): Map<string, string> {
  return new Map([...text.matchAll(line)].map(([, name = '', value = '']) => [name, value.trim()]));
}

// SPDX-License-Identifier: Apache-2.0
//
// Budget: no command takes more than 300 ms to print its help, launcher and all. Beside it, Node's own start on this machine.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const budget = 300;
const rounds = 7;
const root = join(import.meta.dirname, '..');
const mbl = join(root, 'mbl');

/** The median of `rounds` runs, in ms. */
function time(command: string, args: readonly string[]): number {
  const times: number[] = [];
  for (let i = 0; i < rounds; i += 1) {
    const start = performance.now();
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    times.push(performance.now() - start);
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stderr}`);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN;
}

/** The names of the commands that a help page lists. */
function commandsOf(...path: string[]): string[][] {
  const { stdout } = spawnSync(mbl, [...path, '--help'], { encoding: 'utf8' });
  const lists = stdout.split(/^(?:Options|Arguments):$[\s\S]*?(?:^$|(?![\s\S]))/m).join('\n');
  return [...lists.matchAll(/^ {2}([a-z]+)(?: [[<].*| {2,}.*)$/gm)].map(([, name = '']) => [...path, name]);
}

const commands: string[][] = [[]];
for (const command of commandsOf()) commands.push(command, ...commandsOf(...command));

const rows = commands.map(
  (command) => [`mbl ${[...command, '--help'].join(' ')}`, time(mbl, [...command, '--help'])] as const,
);
const peers = [
  ['node --eval 0', time(process.execPath, ['--eval', '0'])],
  ['git --help', time('git', ['--help'])],
] as const;
for (const [name, ms] of [...rows, ...peers]) console.log(`${ms.toFixed(0).padStart(6)} ms  ${name}`);
const worst = Math.max(...rows.map(([, ms]) => ms));
console.log(`worst of ${rows.length} commands ${worst.toFixed(0)} ms, budget ${budget} ms`);
process.exit(worst <= budget ? 0 : 1);

// SPDX-License-Identifier: Apache-2.0
import type { Argument, Command, Option } from 'commander';

/** Something that could stand where the cursor is. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** Where values come from that the grammar does not know. `kind` is the argument's or option's name: `machine`, `device`. */
export type ValueSource = (kind: string) => Promise<readonly Candidate[] | 'folders'>;

/**
 * What may stand in place of the last of `words` (the words typed after `mbl`; the last may be empty). `folders` leaves it to the
 * shell, which knows folders better.
 */
export async function completeWords(
  program: Command,
  words: readonly string[],
  valuesOf: ValueSource,
): Promise<readonly Candidate[] | 'folders'> {
  // bash makes three words of `--name=value`.
  const given = words.filter((word, i) => word !== '=' || i === words.length - 1);
  const current = given.at(-1) === '=' ? '' : (given.at(-1) ?? '');
  let command = program;
  let pending: Option | undefined;
  let position = 0;
  const used = new Set<Option>();
  for (const word of given.slice(0, -1)) {
    if (pending !== undefined) {
      pending = undefined;
    } else if (word.startsWith('-')) {
      const option = command.options.find((one) => one.long === word || one.short === word);
      if (option === undefined) continue;
      used.add(option);
      if (option.required) pending = option;
    } else {
      const child = command.commands.find((one) => one.name() === word);
      if (child === undefined) position += 1;
      else command = child;
    }
  }
  if (pending !== undefined) return await offer(pending, current, valuesOf);
  if (current.startsWith('-')) return matching(optionsOf(command, used), current);
  if (command.commands.length > 0) return matching(commandsOf(command), current);
  const declared = command.registeredArguments;
  const argument = declared[position] ?? (declared.at(-1)?.variadic === true ? declared.at(-1) : undefined);
  return argument === undefined ? [] : await offer(argument, current, valuesOf);
}

async function offer(
  target: Argument | Option,
  current: string,
  valuesOf: ValueSource,
): Promise<readonly Candidate[] | 'folders'> {
  if (target.argChoices !== undefined)
    return matching(
      target.argChoices.map((value) => ({ value })),
      current,
    );
  const kind = 'long' in target ? (target.long ?? '').replace(/^--/, '') : target.name();
  const values = await valuesOf(kind);
  return values === 'folders' ? values : matching(values, current);
}

function optionsOf(command: Command, used: ReadonlySet<Option>): Candidate[] {
  const own = command.options.filter(
    (option) => !option.hidden && (!used.has(option) || Array.isArray(option.defaultValue)),
  );
  const help = { value: '--help', description: 'say how this is used' };
  return [
    ...own.map((option) => ({ value: option.long ?? option.flags, description: option.description })),
    help,
  ];
}

function commandsOf(command: Command): Candidate[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((child) => ({ value: child.name(), description: child.description() }));
}

const matching = (candidates: readonly Candidate[], start: string): Candidate[] =>
  candidates.filter(({ value }) => value.startsWith(start));

// SPDX-License-Identifier: Apache-2.0
import { relative, resolve } from 'node:path';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Project } from '@mbl/builder';
import type { Cli, Outcome } from './cli.ts';
import { findProject } from './workspace.ts';

/** An option as a verb declares it; `T` is what the verb's action gets. The key that it stands under is its name. */
export interface OptionOf<T> {
  readonly option: (name: string) => Option;
  /** What the action gets where the option was not given. */
  readonly absent: T;
  /** What stands in the project file for it; undefined where nothing does. */
  readonly project?: (project: Project) => T | undefined;
}

/** A word of the command line that has no dashes before it; `T` is what the verb's action gets. */
export interface ArgumentOf<T> {
  readonly argument: (name: string) => Argument;
  /** Reads the word; where there is none, commander has read it. */
  readonly parse?: ParseWord<T>;
  readonly absent: T | undefined;
}

export type OptionsOf = Readonly<Record<string, OptionOf<unknown>>>;
export type ArgumentsOf = Readonly<Record<string, ArgumentOf<unknown>>>;

/** What an action gets for the options or arguments that its verb declares. */
export type Given<D extends OptionsOf | ArgumentsOf> = {
  readonly [K in keyof D]: D[K] extends OptionOf<infer T> ? T : D[K] extends ArgumentOf<infer T> ? T : never;
};

interface ValueOptions {
  /** One letter: `f` for `-f`. */
  readonly short?: string;
  /** Keys of options that it cannot be given with. */
  readonly conflicts?: readonly string[];
}

function flags(name: string, { short }: ValueOptions, rest = ''): string {
  const long = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `${short === undefined ? '' : `-${short}, `}--${long}${rest}`;
}

/** `--follow`: true when it is given. */
export function flag(description: string, options: Pick<ValueOptions, 'short'> = {}): OptionOf<boolean> {
  return { option: (name) => new Option(flags(name, options), description), absent: false };
}

/** `--no-service`, under the key `service`: false when it is given. */
export function without(description: string): OptionOf<boolean> {
  return { option: (name) => new Option(`--no-${name}`, description), absent: true };
}

/** Reads the text of one value. Throws commander's `InvalidArgumentError`, a sentence that says what it must be. */
type Parse<T> = (text: string) => T;

/** The same for a word without dashes; it is called when the verb runs, so it may import what it needs then. */
type ParseWord<T> = (text: string) => T | Promise<T>;

/** `--limit <number>`. The texts that may stand there are anything, or what `parse` takes. */
export function value(
  placeholder: string,
  description: string,
  options?: ValueOptions,
): OptionOf<string | undefined>;
export function value(
  placeholder: string,
  description: string,
  options: ValueOptions & { fallback: string },
): OptionOf<string>;
export function value<T>(
  placeholder: string,
  description: string,
  options: ValueOptions & { parse: Parse<T>; fallback: T },
): OptionOf<T>;
export function value<T>(
  placeholder: string,
  description: string,
  options: ValueOptions & { parse: Parse<T> },
): OptionOf<T | undefined>;
export function value(
  placeholder: string,
  description: string,
  options: ValueOptions & { parse?: Parse<unknown>; fallback?: unknown } = {},
): OptionOf<unknown> {
  const { parse, fallback, conflicts = [] } = options;
  return {
    option(name) {
      const option = new Option(flags(name, options, ` <${placeholder}>`), description).conflicts([
        ...conflicts,
      ]);
      if (parse !== undefined) option.argParser(parse);
      return fallback === undefined ? option : option.default(fallback);
    },
    absent: fallback,
  };
}

/** `--category <category>`: one of a few words. */
export function oneOf<const W extends string>(
  placeholder: string,
  description: string,
  words: readonly W[],
  fallback: NoInfer<W>,
): OptionOf<W> {
  return {
    option: (name) =>
      new Option(flags(name, {}, ` <${placeholder}>`), description).choices(words).default(fallback),
    absent: fallback,
  };
}

/** `--layer <folder>`, as often as one likes. */
export function values(placeholder: string, description: string): OptionOf<readonly string[]>;
export function values<T>(placeholder: string, description: string, parse: Parse<T>): OptionOf<readonly T[]>;
export function values(
  placeholder: string,
  description: string,
  parse: Parse<unknown> = (text) => text,
): OptionOf<readonly unknown[]> {
  return {
    option: (name) =>
      new Option(flags(name, {}, ` <${placeholder}>`), `${description} (repeatable)`)
        .argParser((text, before: readonly unknown[]) => [...before, parse(text)])
        .default([]),
    absent: [],
  };
}

/** An option that the project file may give, and the command line over it. */
export function fromProject<T>(
  option: OptionOf<T>,
  project: (project: Project) => T | undefined,
): OptionOf<T> {
  return { ...option, project };
}

/** A word that must stand there. */
export function required(description: string): ArgumentOf<string>;
export function required<T>(description: string, parse: ParseWord<T>): ArgumentOf<T>;
export function required(description: string, parse: ParseWord<unknown> = asItIs): ArgumentOf<unknown> {
  return { argument: (name) => new Argument(`<${name}>`, description), parse, absent: undefined };
}

/** A word that may stand there. */
export function optional(description: string): ArgumentOf<string | undefined>;
export function optional<T>(description: string, parse: ParseWord<T>): ArgumentOf<T | undefined>;
export function optional(description: string, parse: ParseWord<unknown> = asItIs): ArgumentOf<unknown> {
  return { argument: (name) => new Argument(`[${name}]`, description), parse, absent: undefined };
}

const asItIs = (text: string): string => text;

/** One of a few words, which must stand there. */
export function choice<const W extends string>(description: string, words: readonly W[]): ArgumentOf<W> {
  return {
    argument: (name) => new Argument(`<${name}>`, description).choices(words),
    absent: undefined,
  };
}

/** All words that are left. */
export function rest(description: string): ArgumentOf<readonly string[]> {
  return { argument: (name) => new Argument(`[${name}...]`, description), absent: [] };
}

/** What is needed to make a verb part of a command line. */
export interface Context {
  readonly cli: Cli;
  /** Gets the exit code that a verb returned. */
  readonly finish: (code: number) => void;
}

/** A verb, or a group of them, that can become a command of commander. */
export interface Entry {
  readonly hidden: boolean;
  readonly command: (context: Context) => Command;
}

interface VerbDefinition<A extends ArgumentsOf, O extends OptionsOf> {
  readonly name: string;
  readonly description: string;
  /** In their order on the command line. */
  readonly arguments?: A;
  readonly options?: O;
  /** Text under the help. */
  readonly more?: string;
  /** `false` for a verb without `--json`: one that prints nothing that a program would read. */
  readonly json?: false;
  /** Options after the first argument belong to the rest of the words. */
  readonly passThrough?: true;
  /** Neither in the help nor in the completion. */
  readonly hidden?: true;
  /**
   * What the verb does; returns the exit code, or nothing for success. It imports what it needs itself (`await import()`): the files of
   * all verbs are read before any of them runs, and help must be fast.
   */
  run(cli: Cli, given: Given<A> & Given<O>): Outcome;
}

// oxlint-disable-next-line typescript/no-generated-empty-object-type -- a verb that declares nothing gets nothing
type Nothing = Record<never, never>;

/** A verb: what stands on its command line and what it does, in one value and one type. */
export function verb<A extends ArgumentsOf = Nothing, O extends OptionsOf = Nothing>(
  definition: VerbDefinition<A, O>,
): Entry {
  const { name, description, more, json = true, passThrough = false, hidden = false } = definition;
  const args = Object.entries<ArgumentOf<unknown>>(definition.arguments ?? {});
  const options = Object.entries<OptionOf<unknown>>(definition.options ?? {});
  const usesProject = options.some(([, { project }]) => project !== undefined);
  return {
    hidden,
    command({ cli, finish }) {
      const command = new Command(name).description(description);
      for (const [key, { argument }] of args) command.addArgument(argument(key));
      if (json) command.option('--json', 'print the result as JSON');
      for (const [key, { option }] of options) command.addOption(option(key));
      if (usesProject)
        command.option('--project <file>', 'the project file (default: mbl.yaml here, or in a folder above)');
      if (more !== undefined) command.addHelpText('after', `\n${more}`);
      if (passThrough) command.passThroughOptions();
      return command.action(async () => {
        const found: Readonly<Record<string, unknown>> = command.opts();
        cli.output.json = found['json'] === true;
        const words = await Promise.all(
          args.map(async ([key, argument], i) => [key, await readWord(command, key, argument, i)] as const),
        );
        const project = usesProject ? await openProject(cli, found['project']) : undefined;
        const optionValue = (key: string, { absent, project: read }: OptionOf<unknown>) => {
          const typed = command.getOptionValueSource(key) === 'cli';
          const configured = typed || project === undefined ? undefined : read?.(project);
          return configured ?? found[key] ?? absent;
        };
        const given = Object.fromEntries([
          ...words,
          ...options.map(([key, option]) => [key, optionValue(key, option)]),
        ]);
        // Commander has no types for what it read: what the verb declares and what it gets meet here, and nowhere else.
        const outcome = definition.run(cli, given as Given<A> & Given<O>);
        const code = await outcome.catch((error: unknown) => {
          throw project === undefined ? error : project.locate(error);
        });
        if (typeof code === 'number') finish(code);
      });
    },
  };
}

/** The word at a place, as the verb wants it; ends the command as one that was typed wrongly where it is not that. */
async function readWord(
  command: Command,
  name: string,
  { parse, absent }: ArgumentOf<unknown>,
  index: number,
): Promise<unknown> {
  const word: unknown = command.processedArgs[index];
  if (parse === undefined || typeof word !== 'string') return word ?? absent;
  try {
    return await parse(word);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return command.error(`error: '${word}' is invalid for argument '${name}'. ${error.message}`);
  }
}

/** The project file that `--project` names, or the nearest one. */
async function openProject(cli: Cli, given: unknown): Promise<Project | undefined> {
  const file = typeof given === 'string' ? resolve(given) : findProject(process.cwd());
  if (file === undefined) return undefined;
  const { readProject } = await import('@mbl/builder');
  const project = await readProject(file);
  cli.output.remark(`Project file: ${relative('', file)}`);
  return project;
}

/** `device`, whose verbs are `device list`, `device show` and so on. */
export function group(name: string, description: string, verbs: readonly Entry[]): Entry {
  return {
    hidden: false,
    command(context) {
      const command = new Command(name).description(description);
      for (const entry of verbs) command.addCommand(entry.command(context), { hidden: entry.hidden });
      return command;
    },
  };
}

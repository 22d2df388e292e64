// SPDX-License-Identifier: Apache-2.0
import { Command, CommanderError, Help } from 'commander';
import { type Cli, exitCodes } from './cli.ts';
import { commands } from './commands/all.ts';
import { endWithFailure } from './failure.ts';
import { Output } from './output.ts';
import { findWorkspace, readVersion } from './workspace.ts';

/**
 * The command line as commander sees it: names, options, help. What a verb does is imported when it runs, so that help stays fast.
 * `finish` gets the exit code that a verb asked for.
 */
export function createProgram(cli: Cli, finish: (code: number) => void): Command {
  const program = new Command('mbl')
    .description('Build a signed Linux for devices, run it on virtual boards, look after the devices.')
    .usage('<command> [options]')
    .helpOption('-h, --help', 'say how a command is used')
    .version(readVersion(cli.workspace), '-V, --version', 'print the version')
    .helpCommand(false)
    .enablePositionalOptions()
    .showHelpAfterError('(mbl --help lists the commands)')
    .addHelpText('after', '\nStart with: ./mbl up\nEach command says more with --help.');
  for (const [heading, entries] of Object.entries(commands)) {
    for (const entry of entries) {
      const command = entry.command({ cli, finish }).helpGroup(`${heading}:`);
      program.addCommand(command, { hidden: entry.hidden });
    }
  }
  configure(program, cli);
  return program;
}

/** The command line for those who only read it: help, completion, the reference page. */
export function describeProgram(): Command {
  const sink = { write: () => true };
  const output = new Output({ stdout: sink, stderr: sink });
  return createProgram(
    { output, workspace: findWorkspace(), signal: new AbortController().signal, environment: {} },
    () => {},
  );
}

/** Settings that commander copies only to commands made by `.command()`. */
function configure(command: Command, cli: Cli): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => cli.output.raw(text),
    writeErr: (text) => cli.output.error(text.trimEnd()),
  });
  command.configureHelp({
    // An option that may be repeated starts from an empty list, which says nothing to a reader.
    optionDescription: (option) =>
      Array.isArray(option.defaultValue)
        ? option.description
        : Help.prototype.optionDescription.call(command.createHelp(), option),
  });
  for (const child of command.commands) {
    child
      .helpCommand(false)
      .helpOption('-h, --help', 'say how this is used')
      .showHelpAfterError(`(see: mbl ${path(child)} --help)`);
    configure(child, cli);
  }
}

function path(command: Command): string {
  const parent = command.parent;
  return parent === null || parent.parent === null ? command.name() : `${path(parent)} ${command.name()}`;
}

/** Runs one command line (without `node` and the script) and returns the exit code; prints what goes wrong. */
export async function runProgram(cli: Cli, argv: readonly string[]): Promise<number> {
  let code = 0;
  const program = createProgram(cli, (asked) => (code = asked));
  try {
    if (argv.length === 0) {
      program.outputHelp();
      return 0;
    }
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    return endWithFailure(cli, error);
  }
}

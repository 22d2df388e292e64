// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import type { Finding } from './check.ts';

export const cliPagePath = 'docs/reference/cli.md';

const marker = '<!-- below: written by node tools/write-pages.ts -->';

/** The page's own text, then every command with its arguments and options. */
export function renderCliPage(program: Command, page: string): string {
  const preface = page.split(marker)[0]?.trimEnd() ?? '';
  const sections = program
    .createHelp()
    .visibleCommands(program)
    .flatMap((command) => renderCommand(command, `mbl ${command.name()}`));
  return `${preface}\n\n${marker}\n\n${sections.join('\n\n')}\n`;
}

export function checkCliPage(program: Command, page: string): Finding[] {
  if (renderCliPage(program, page) === page) return [];
  const message = 'is not what the command line is: run node tools/write-pages.ts';
  return [{ file: cliPagePath, message }];
}

function renderCommand(command: Command, path: string): string[] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  if (children.length > 0)
    return children.flatMap((child) => renderCommand(child, `${path} ${child.name()}`));
  const words = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const rows = [
    ...command.registeredArguments.map((argument) =>
      row(argument.name(), argument.description, argument.defaultValue, argument.argChoices),
    ),
    ...command.options
      .filter((option) => !option.hidden)
      .map((option) =>
        row(
          option.flags,
          option.description,
          option.negate ? undefined : option.defaultValue,
          option.argChoices,
        ),
      ),
  ];
  const table = rows.length === 0 ? [] : [`| argument or option | |\n|---|---|\n${rows.join('\n')}`];
  return [`## ${[path, ...words].join(' ')}`, sentence(command.description()), ...table];
}

function row(
  name: string,
  description: string,
  fallback: unknown,
  choices: readonly string[] | undefined,
): string {
  const facts = [
    ...(choices === undefined ? [] : [`one of ${choices.map((choice) => `\`${choice}\``).join(', ')}`]),
    ...(typeof fallback === 'string' || typeof fallback === 'number' ? [`default \`${fallback}\``] : []),
  ];
  const text = [description, ...facts].join('; ').replaceAll('|', '\\|').replaceAll('<', '&lt;');
  return `| \`${name.replaceAll('|', '\\|')}\` | ${text} |`;
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

// SPDX-License-Identifier: Apache-2.0
import { endpointNameRule, isEndpointName } from '@mbl/formats';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Cli, Outcome } from '../cli.ts';

/** What the functions that describe commands are given. */
export interface Define {
  readonly cli: Cli;
  readonly finish: (code: number) => void;
}

/** A command with `--json`. */
export function verb(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('--json', 'print the result as JSON'));
}

/** Turns a verb into a commander action: sets JSON mode, passes on what the verb returns as the exit code. */
export function action(
  { cli, finish }: Define,
  run: (options: never, ...values: never[]) => Outcome,
): (...parsed: unknown[]) => Promise<void> {
  return async (...parsed) => {
    // Commander's order: the arguments, the options, the command itself.
    const options = parsed.at(-2) as Record<string, unknown>;
    cli.output.json = options['json'] === true;
    const code = await (run as (...given: unknown[]) => Outcome)(options, ...parsed.slice(0, -2));
    if (typeof code === 'number') finish(code);
  };
}

/** A whole number of at least `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number of at least ${least}.`);
    }
    return value;
  };
}

/** An option that may be given several times. */
export function repeated(text: string, before: readonly string[]): string[] {
  return [...before, text];
}

/** An endpoint name. */
export function boardName(text: string): string {
  if (!isEndpointName(text)) throw new InvalidArgumentError(`It must be ${endpointNameRule}.`);
  return text;
}

/** `8080:80`: a port of the host and one of the guest. */
export function portForward(
  text: string,
  before: readonly { host: number; guest: number }[],
): { host: number; guest: number }[] {
  const match = /^(\d{1,5}):(\d{1,5})$/.exec(text);
  const [host = 0, guest = 0] = (match ?? []).slice(1).map(Number);
  if (match === null || host > 65_535 || guest < 1 || guest > 65_535) {
    throw new InvalidArgumentError('It must be two ports, as in 8080:80.');
  }
  return [...before, { host, guest }];
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Command } from 'commander';
import { createProgram, runProgram } from './program.ts';
import { testCli } from './testing/cli.ts';
import { readVersion } from './workspace.ts';

test('usage errors exit with 2 and say where help is', async () => {
  for (const [argv, message] of [
    [['doctr'], /unknown command 'doctr'\n\(Did you mean doctor\?\)\n.*mbl --help/],
    [['up', '--imag'], /unknown option '--imag'\n\(Did you mean --image\?\)\n.*mbl up --help/],
    [['up', 'a/b'], /must be 1 to 64 letters/],
    [['build', '--jobs', 'many'], /whole number of at least 1/],
    [['logs', 'nothing'], /Allowed choices are service, serial, board/],
    [['device', 'show'], /missing required argument 'device'\n.*mbl device show --help/],
    [['device', 'read', 'x', 'firmware'], /must be \/object\/instance\/resource/],
    [['device', 'list', '--filter', 'x'], /must be field__operator=value/],
    [['device', 'suspend', 'x', '--category', 'boredom'], /Allowed choices are lost_or_stolen/],
    [['cache', 'prune', '--keep-days', '0'], /whole number of at least 1/],
    [['status', 'extra'], /too many arguments/],
  ] as const) {
    const { cli, stderr } = testCli();
    assert.equal(await runProgram(cli, argv), 2, argv.join(' '));
    assert.match(stderr(), message);
  }
});

test('the version is that of the working copy', async () => {
  const { cli, stdout } = testCli();
  assert.equal(await runProgram(cli, ['--version']), 0);
  assert.equal(stdout(), `${readVersion(cli.workspace)}\n`);
  assert.match(stdout(), /^\d+\.\d+\.\d+$/m);
});

test('a device is the first word, a board an optional one, and neither is an option', () => {
  const visit = (command: Command, path: readonly string[]) => {
    const words = command.registeredArguments;
    const at = `mbl ${path.join(' ')}`;
    for (const { long } of command.options) assert.doesNotMatch(long ?? '', /^--(name|board|device)$/, at);
    for (const [i, argument] of words.entries()) {
      assert.notEqual(argument.name(), 'name', at);
      if (argument.name() === 'board') assert.equal(argument.required, false, at);
      if (argument.name() === 'device') assert.equal(i, 0, at);
    }
    const first = words[0]?.name();
    if (path[0] === 'device' && first !== undefined) assert.match(first, /^(device|endpoint)$/, at);
    for (const child of command.commands) visit(child, [...path, child.name()]);
  };
  visit(
    createProgram(testCli().cli, () => {}),
    [],
  );
});

test('help exits with 0, on stdout', async () => {
  for (const argv of [[], ['--help'], ['up', '--help'], ['device', '-h']]) {
    const { cli, stdout, stderr } = testCli();
    assert.equal(await runProgram(cli, argv), 0);
    assert.match(stdout(), /^Usage: mbl/);
    assert.equal(stderr(), '');
  }
});

test('every command describes itself, its arguments and its options', () => {
  const visit = (command: Command) => {
    if (command.name() !== 'complete') assert.notEqual(command.description(), '', command.name());
    for (const option of command.options)
      assert.notEqual(option.description, '', `${command.name()} ${option.flags}`);
    for (const argument of command.registeredArguments) {
      assert.notEqual(argument.description, '', `${command.name()} ${argument.name()}`);
    }
    for (const child of command.commands) visit(child);
  };
  visit(createProgram(testCli().cli, () => {}));
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MblError } from '@mbl/trust';
import { InvalidArgumentError } from 'commander';
import {
  choice,
  flag,
  fromProject,
  group,
  oneOf,
  optional,
  required,
  rest,
  value,
  values,
  verb,
  without,
} from './verb.ts';
import { testCli } from './testing/cli.ts';

/** What the action of a verb with one of each kind gets. */
async function given(...words: string[]): Promise<unknown> {
  let found: unknown;
  const { cli } = testCli();
  const entry = verb({
    name: 'try',
    description: 'a verb',
    arguments: { kind: choice('kind', ['a', 'b']), which: optional('which'), rest: rest('rest') },
    options: {
      follow: flag('follow', { short: 'f' }),
      service: without('service'),
      image: value('image', 'image', { fallback: 'development' }),
      pkcs11Module: value('file', 'file'),
      limit: value('number', 'limit', { parse: number }),
      layer: values('folder', 'layer'),
      port: values('number', 'port', number),
      category: oneOf('word', 'category', ['x', 'y'], 'y'),
    },
    run: async (_cli, options) => void (found = options),
  });
  const command = entry.command({ cli, finish() {} }).exitOverride();
  await command.parseAsync(words, { from: 'user' });
  return found;
}

function number(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a number.');
  return Number(text);
}

test('an action gets every argument and option that its verb declares, given or not', async () => {
  assert.deepEqual(await given('a'), {
    kind: 'a',
    which: undefined,
    rest: [],
    follow: false,
    service: true,
    image: 'development',
    pkcs11Module: undefined,
    limit: undefined,
    layer: [],
    port: [],
    category: 'y',
  });
  assert.deepEqual(
    await given(
      ...['b', 'x', 'y', 'z', '-f', '--no-service', '--image', 'i', '--pkcs11-module', 'm', '--limit', '0'],
      ...['--layer', 'l', '--layer', 'k', '--port', '1', '--port', '2', '--category', 'x'],
    ),
    {
      kind: 'b',
      which: 'x',
      rest: ['y', 'z'],
      follow: true,
      service: false,
      image: 'i',
      pkcs11Module: 'm',
      limit: 0,
      layer: ['l', 'k'],
      port: [1, 2],
      category: 'x',
    },
  );
  await assert.rejects(given('a', '--limit', 'x'), /must be a number/);
  await assert.rejects(given('a', '--category', 'z'), /Allowed choices are x, y/);
  await assert.rejects(given('c'), /Allowed choices are a, b/);
});

test('a verb ends with the exit code that it returns, and says whether JSON is wanted', async () => {
  const { cli } = testCli();
  const codes: number[] = [];
  const entry = group('some', 'verbs', [
    verb({ name: 'seven', description: 'seven', run: async () => 7 }),
    verb({ name: 'none', description: 'none', run: async () => {} }),
  ]);
  const run = async (...words: string[]) =>
    await entry.command({ cli, finish: (code) => codes.push(code) }).parseAsync(words, { from: 'user' });
  await run('seven', '--json');
  assert.equal(cli.output.json, true);
  await run('none');
  assert.equal(cli.output.json, false);
  assert.deepEqual(codes, [7]);
});

test('the project file gives what the command line does not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-verb-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mbl.yaml');
  await writeFile(file, 'image: product\nlayers: [.]\n');
  const { cli, stderr } = testCli();
  const found: unknown[] = [];
  const entry = verb({
    name: 'try',
    description: 'a verb',
    options: {
      machine: fromProject(value('m', 'machine', { fallback: 'qemu-arm64' }), ({ machine }) => machine),
      image: fromProject(value('i', 'image', { fallback: 'development' }), ({ image }) => image),
      layer: fromProject(values('l', 'layer'), ({ layers }) => layers),
    },
    async run(_cli, options) {
      found.push(options);
      throw new MblError('builder/unknown-image', 'No image.', { details: { name: options.image } });
    },
  });
  const run = async (...words: string[]) =>
    await entry
      .command({ cli, finish() {} })
      .exitOverride()
      .parseAsync(['--project', file, ...words], { from: 'user' });
  await assert.rejects(run(), /mbl\.yaml:1:8: No image\./);
  await assert.rejects(run('--image', 'typed', '--layer', 'x', '--layer', 'y'), /^MblError: No image\./);
  assert.deepEqual(found, [
    { machine: 'qemu-arm64', image: 'product', layer: [folder] },
    { machine: 'qemu-arm64', image: 'typed', layer: ['x', 'y'] },
  ]);
  assert.match(stderr(), /^Project file: .*mbl\.yaml$/m);
});

// Checked by tsc: each of these is an error, or the expectation of it is one.
test('what an action does not get as it was declared is an error of types', () => {
  const declared = {
    name: 'typed',
    description: 'typed',
    arguments: { device: required('device') },
    options: { limit: value('number', 'limit', { parse: number }), follow: flag('follow') },
  };
  verb({
    ...declared,
    async run(_cli, { device, limit, follow }) {
      const right: [string, number | undefined, boolean] = [device, limit, follow];
      // @ts-expect-error a number may be absent
      const absent: number = limit;
      // @ts-expect-error a flag is no text
      const text: string = follow;
      assert.ok([right, absent, text]);
    },
  });
  // @ts-expect-error no such option was declared
  verb({ ...declared, run: async (_cli, { limits }) => assert.ok(limits) });
  const parsed: { readonly limit: string | undefined }[] = [];
  // @ts-expect-error the action wants a text where a number is declared
  verb({ ...declared, run: async (_cli, options) => void parsed.push(options) });
});

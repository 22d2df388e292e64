// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { identityTask, readIdentity, type Unidentified } from '../image/identity.ts';
import type { Json, Task } from '../task.ts';
import { runCommand } from './run-command.ts';
import { type RunReport, runTasks, type TaskTools } from './run-tasks.ts';

/** Tasks whose code is files of a folder: `first.ts` makes a word, `second.ts` uses it, with a toolbox. */
async function workshop(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-keys-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const code = (name: string) => join(folder, `${name}.ts`);
  const write = async (name: string, text: string) => await writeFile(code(name), text);
  await write('helper', 'export const helper = 1;\n');
  await write('first', `import { helper } from './helper.ts';\nexport const word = helper;\n`);
  await write('second', 'export const second = 2;\n');
  await write('first.test', `import { word } from './first.ts';\n`);
  let word = 'word';
  let meanwhile = async (): Promise<void> => {};
  let opened = 0;
  const program = async (version: string): Promise<TaskTools> => {
    const place = join(folder, `tools-${version}`);
    return {
      identity: [`speak ${version}`],
      async open() {
        opened += 1;
        await runCommand('mkdir', ['-p', place]);
        await writeFile(join(place, 'speak'), `#!/bin/sh\necho ${version}`, { mode: 0o755 });
        return { path: [place], environment: {} };
      },
    };
  };
  const tasks = (): Task[] => [
    {
      name: 'first',
      title: 'first',
      code: code('first'),
      inputs: {},
      async run({ out }) {
        await meanwhile();
        await writeFile(join(out, 'word'), word);
      },
    },
    {
      name: 'second',
      title: 'second',
      code: code('second'),
      inputs: {},
      needs: ['first'],
      tools: ['voice'],
      async run(context) {
        const said = await runCommand('speak', [], { capture: true });
        await writeFile(
          join(context.out, 'said'),
          `${await readFile(join(context.need('first'), 'word'), 'utf8')} ${said.toString()}`,
        );
      },
    },
  ];
  return {
    write,
    speak: (other: string) => (word = other),
    /** What somebody does while `first` runs. */
    during: (act: () => Promise<void>) => (meanwhile = act),
    opened: () => opened,
    run: async (version = '1', more: readonly Task[] = [], wanted = ['second']): Promise<RunReport> =>
      await runTasks([...tasks(), ...more], {
        cacheDirectory: join(folder, 'cache'),
        privateDirectory: join(folder, 'private'),
        tools: { voice: await program(version) },
        wanted: [...wanted],
      }),
  };
}

const ran = (report: RunReport): string[] =>
  report.tasks.filter(({ cached }) => !cached).map(({ task }) => task);

test('a comment in what a task imports runs that task, and with the same output nothing behind it', async (t) => {
  const shop = await workshop(t);
  assert.deepEqual(ran(await shop.run()), ['first', 'second']);
  await shop.write('helper', '// a word about it\nexport const helper = 1;\n');
  const report = await shop.run();
  assert.deepEqual(ran(report), ['first']);
  assert.match(report.tasks[0]?.reasons.join() ?? '', /helper\.ts changed/);
  await shop.write('helper', 'export const helper = 2;\n');
  shop.speak('another');
  assert.deepEqual(ran(await shop.run()), ['first', 'second']);
});

test('code that is edited while a build runs is not what made its outputs', async (t) => {
  const shop = await workshop(t);
  shop.during(async () => await shop.write('second', 'export const second = 3;\n'));
  assert.deepEqual(ran(await shop.run()), ['first', 'second']);
  const report = await shop.run();
  assert.deepEqual(ran(report), ['second'], 'what the old code left does not stand for the new');
});

test('a changed test changes no key', async (t) => {
  const shop = await workshop(t);
  await shop.run();
  await shop.write('first.test', `import { word } from './first.ts';\nif (word !== 1) throw new Error();\n`);
  assert.deepEqual(ran(await shop.run()), []);
});

test('another version of a tool runs the tasks that use its toolbox, and tools are opened only for those', async (t) => {
  const shop = await workshop(t);
  await shop.run();
  const before = shop.opened();
  assert.deepEqual(ran(await shop.run()), []);
  assert.equal(shop.opened(), before);
  const report = await shop.run('2');
  assert.deepEqual(ran(report), ['second']);
  assert.match(
    report.tasks.find(({ task }) => task === 'second')?.reasons.join() ?? '',
    /toolbox voice changed/,
  );
  assert.equal(await readFile(join(report.outputs.get('second') ?? '', 'said'), 'utf8'), 'word 2\n');
});

test('a task that names a toolbox which is not there is a fault of the graph', async (t) => {
  const shop = await workshop(t);
  const odd: Task = {
    name: 'odd',
    title: 'odd',
    code: import.meta.filename,
    inputs: {},
    tools: ['none'],
    run: async () => {},
  };
  await assert.rejects(
    shop.run('1', [odd], ['odd']),
    (error) =>
      error instanceof MblError && error.code === 'builder/task-graph' && /"none"/.test(error.message),
  );
});

test("a build's identity follows from what tasks left and from the steps behind it, and from nothing else", async (t) => {
  const shop = await workshop(t);
  const image: Unidentified = {
    version: 1,
    machine: 'm',
    image: 'i',
    keys: 'development',
    components: { 'boot-firmware': { version: '1' }, kernel: { version: '2' }, root: { version: '3' } },
  };
  const identify = async (version = '1', definitions: Readonly<Record<string, Json>> = { fit: 1 }) => {
    const report = await shop.run(version, [identityTask(['second'], definitions)], ['identity']);
    return await readIdentity(report.outputs.get('identity') ?? '', image);
  };
  const first = await identify();
  assert.match(first.buildId, /^[0-9a-f]{16}$/);
  assert.equal(first.components.root.version, `3+${first.buildId.slice(0, 8)}`);
  await shop.write('second', '// the same\nexport const second = 2;\n');
  assert.equal((await identify()).buildId, first.buildId, 'a comment');
  assert.notEqual((await identify('2')).buildId, first.buildId, 'another output');
  assert.notEqual((await identify('1', { fit: 2 })).buildId, first.buildId, 'another step behind');
  assert.equal((await identify()).buildId, first.buildId);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MblError } from '@mbl/trust';
import type { Json, Task } from '../task.ts';
import type { TaskEvent } from './events.ts';
import { runCommand } from './run-command.ts';
import { type RunReport, type RunTasksOptions, runTasks } from './run-tasks.ts';

interface Bench {
  readonly folder: string;
  readonly events: TaskEvent[];
  readonly run: (tasks: readonly Task[], options?: Partial<RunTasksOptions>) => Promise<RunReport>;
}

async function bench(t: TestContext): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-engine-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const events: TaskEvent[] = [];
  return {
    folder,
    events,
    run(tasks, options = {}) {
      events.length = 0;
      return runTasks(tasks, {
        cacheDirectory: join(folder, 'cache'),
        privateDirectory: join(folder, 'private'),
        wanted: tasks.slice(-1).map((task) => task.name),
        onEvent: (event) => events.push(event),
        ...options,
      });
    },
  };
}

/** A task that writes its text, after the texts of what it needs. */
function write(name: string, content: string, needs: string[] = [], more: Partial<Task> = {}): Task {
  return {
    name,
    title: `Task ${name}`,
    code: import.meta.filename,
    inputs: { content },
    needs,
    async run(context) {
      const before = await Promise.all(
        needs.map((each) => readFile(join(context.need(each), 'text'), 'utf8')),
      );
      await writeFile(join(context.out, 'text'), [...before, content].join(' '));
    },
    ...more,
  };
}

const ran = (report: RunReport): string[] =>
  report.tasks.filter((task) => !task.cached).map((task) => task.task);
const reasonsOf = (report: RunReport, name: string): readonly string[] =>
  report.tasks.find((task) => task.task === name)?.reasons ?? [];
const textOf = (report: RunReport, name: string): Promise<string> =>
  readFile(join(report.outputs.get(name) ?? '', 'text'), 'utf8');

async function refused(promise: Promise<unknown>, code: string): Promise<MblError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof MblError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail(`no ${code}`);
}

void test('what did not change is not built again, and explain names what did', async (t) => {
  const { run, folder } = await bench(t);
  const file = join(folder, 'config');
  await mkdir(file);
  await writeFile(join(file, 'a'), '1');
  const graph = (version: number, packages: Json): Task[] => [
    write('a', 'A', [], { inputs: { version, packages } }),
    write('b', 'B', [], { files: [file] }),
    write('c', 'C', ['a', 'b']),
    write('unused', 'U'),
    write('d', 'D', ['c']),
  ];
  const first = await run(graph(1, ['x', 'y']));
  assert.deepEqual(ran(first).toSorted(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(reasonsOf(first, 'a'), ['never built here']);
  assert.equal(await textOf(first, 'd'), 'A B C D');
  const second = await run(graph(1, ['x', 'y']));
  assert.deepEqual(ran(second), []);
  assert.deepEqual(reasonsOf(second, 'a'), []);
  const third = await run(graph(2, ['x', 'z']));
  // `a` left the same bytes as before: nothing after it runs.
  assert.deepEqual(ran(third), ['a']);
  assert.deepEqual(reasonsOf(third, 'a'), [
    'inputs.packages + "z"',
    'inputs.packages - "y"',
    'inputs.version changed 1 -> 2',
  ]);
  await appendFile(join(file, 'a'), '2');
  const fourth = await run(graph(2, ['x', 'z']));
  assert.deepEqual(ran(fourth), ['b']);
  assert.equal(reasonsOf(fourth, 'b').length, 1);
  assert.match(reasonsOf(fourth, 'b')[0] ?? '', /^file .*config\/a changed$/);
  const back = await run(graph(1, ['x', 'y']));
  assert.deepEqual(ran(back), []);
  assert.match(reasonsOf(back, 'a').join(), /inputs.version changed 2 -> 1/);
});

void test('a file that is named by a link counts by its content', async (t) => {
  const { run, folder } = await bench(t);
  await writeFile(join(folder, 'real'), '1');
  await symlink('real', join(folder, 'config'));
  const task = write('a', 'A', [], { files: [join(folder, 'config')] });
  await run([task]);
  assert.deepEqual(ran(await run([task])), []);
  await writeFile(join(folder, 'real'), '2');
  assert.deepEqual(ran(await run([task])), ['a']);
});

void test('a changed output runs what needs it', async (t) => {
  const { run } = await bench(t);
  await run([write('a', '1'), write('b', 'B', ['a'])]);
  const report = await run([write('a', '2'), write('b', 'B', ['a'])]);
  assert.deepEqual(ran(report), ['a', 'b']);
  assert.deepEqual(reasonsOf(report, 'b'), ['need a changed']);
  assert.equal(await textOf(report, 'b'), '2 B');
});

void test('the same graph in another folder has the same keys and outputs', async (t) => {
  const [one, two] = [await bench(t), await bench(t)];
  for (const { folder } of [one, two]) {
    await mkdir(join(folder, 'in'));
    await writeFile(join(folder, 'in', 'x'), 'same', { mode: folder === one.folder ? 0o644 : 0o664 });
  }
  const graph = ({ folder }: Bench): Task[] => [write('a', 'A', [], { files: [join(folder, 'in')] })];
  await one.run(graph(one));
  await two.run(graph(two));
  const outputs = await Promise.all([one, two].map(({ folder }) => readdir(join(folder, 'cache', 'tasks'))));
  assert.deepEqual(outputs[0], outputs[1]);
  assert.equal(outputs[0]?.length, 1);
});

void test('a damaged output is noticed, told and built again', async (t) => {
  const { run, events } = await bench(t);
  const graph = [write('a', 'hello'), write('b', 'B', ['a'])];
  const file = join((await run(graph)).outputs.get('a') ?? '', 'text');
  const damage: Record<string, () => Promise<void>> = {
    'text has 6 bytes instead of 5': () => appendFile(file, '!'),
    'text has another content than was built': () => writeFile(file, 'hallo'),
    'text is gone': () => rm(file),
    'odd was added': () => writeFile(join(file, '..', 'odd'), ''),
    'its files are gone': () => rm(join(file, '..'), { recursive: true }),
    'its output.json cannot be read': () => writeFile(join(file, '../../output.json'), '{"version":1'),
  };
  for (const [what, act] of Object.entries(damage)) {
    await act();
    const report = await run(graph);
    assert.deepEqual(ran(report), ['a'], what);
    assert.deepEqual(reasonsOf(report, 'a'), [`its cached output was damaged: ${what}`]);
    assert.ok(events.some((event) => event.kind === 'damaged' && event.what === what));
    assert.equal(await readFile(file, 'utf8'), 'hello');
  }
  // The same size and the same time: only a full check sees it.
  const { atime, mtime } = await stat(file);
  await writeFile(file, 'hellO');
  await utimes(file, atime, mtime);
  assert.deepEqual(ran(await run(graph, { verify: true })), ['a']);
  // Another time, the same bytes: not damage.
  await utimes(file, 1, 1);
  assert.deepEqual(ran(await run(graph)), []);
});

void test('a record that cannot be read costs an explanation and nothing else', async (t) => {
  const { run, folder } = await bench(t);
  const record = join(folder, 'private', 'records', 'a.json');
  for (const text of ['', '{', '[]', '{"version":1,"key":"x","files":null,"needs":{},"seconds":1}']) {
    await run([write('a', 'A')]);
    await writeFile(record, text);
    const report = await run([write('a', 'A')]);
    assert.deepEqual(ran(report), []);
    assert.deepEqual(reasonsOf(report, 'a'), ['never built here']);
  }
});

void test('an output that was removed is built again', async (t) => {
  const { run, folder } = await bench(t);
  await run([write('a', 'A')]);
  await rm(join(folder, 'cache', 'tasks'), { recursive: true });
  const report = await run([write('a', 'A')]);
  assert.deepEqual(reasonsOf(report, 'a'), ['its output is not in the cache any more']);
});

void test('private outputs stay in the private folder, which only its owner may enter', async (t) => {
  const { run, folder } = await bench(t);
  const report = await run([write('key', 'secret', [], { private: true }), write('b', 'B', ['key'])]);
  assert.ok(report.outputs.get('key')?.startsWith(join(folder, 'private')));
  assert.equal((await stat(join(folder, 'private'))).mode & 0o777, 0o700);
  assert.deepEqual((await readdir(join(folder, 'cache', 'tasks'))).length, 1);
});

void test('a wrong graph is refused before anything runs', async (t) => {
  const { run } = await bench(t);
  const circle = [write('a', '', ['c']), write('b', '', ['a']), write('c', '', ['b'])];
  assert.match(
    (await refused(run(circle), 'builder/task-graph')).message,
    /circle: c needs b needs a needs c/,
  );
  const twice = await refused(run([write('a', ''), write('a', '')]), 'builder/task-graph');
  assert.match(twice.message, /two tasks are called "a"/);
  const unknown = await refused(run([write('a', '', ['x'])]), 'builder/task-graph');
  assert.match(unknown.message, /"a" needs "x"/);
  await refused(run([write('../a', '')]), 'builder/task-graph');
  await refused(run([write('a', '')], { wanted: ['b'] }), 'builder/task-graph');
  const undeclared = write('b', '', [], {
    run: (context) => Promise.resolve(context.log(context.need('a'))),
  });
  assert.match(
    (await refused(run([write('a', ''), undeclared]), 'builder/task-graph')).message,
    /without naming/,
  );
  const input = await refused(
    run([write('a', '', [], { files: ['/nonexistent/x'] })]),
    'builder/missing-file',
  );
  assert.match(input.message, /\/nonexistent\/x/);
});

void test('a failure shows the end of the log, and the next run goes on from there', async (t) => {
  const { run } = await bench(t);
  const failing = (name: string, more: Partial<Task>): Task[] => [
    write('a', 'A'),
    { ...write(name, '', ['a']), ...more },
  ];
  const lines = async (): Promise<void> => {
    await runCommand('sh', ['-c', 'for i in $(seq 30); do echo line $i; done; echo "it broke" >&2; exit 3']);
  };
  const error = await refused(run(failing('b', { run: lines })), 'builder/task-failed');
  assert.match(error.message, /^Task b failed: sh ended with status 3\n/);
  assert.match(error.message, /line 30/);
  assert.doesNotMatch(error.message, /line 9\n/);
  assert.match(error.message, /it broke/);
  const log = String(error.details?.['log']);
  assert.ok(error.remedy?.includes(log));
  assert.match(await readFile(log, 'utf8'), /line 1\n/);
  assert.deepEqual(ran(await run(failing('b', { run: () => Promise.resolve() }))), ['b']);

  const own = new MblError('area/what', 'No network', { remedy: 'Plug it in.' });
  const passed = await refused(run(failing('c', { run: () => Promise.reject(own) })), 'area/what');
  assert.equal(passed.message, 'Task c: No network');
  assert.equal(passed.remedy, 'Plug it in.');
  const tool = async (): Promise<void> => void (await runCommand('mkfs.erofs-is-not-here', []));
  await refused(run(failing('d', { run: tool })), 'builder/missing-tool');
});

void test('a full disk is a clear error, from a task and from its commands', async (t) => {
  const { run } = await bench(t);
  const own = write('a', '', [], { run: () => writeFile('/dev/full', 'x') });
  const error = await refused(run([own]), 'builder/disk-full');
  assert.match(error.message, /more space in .*cache/);
  assert.match(error.remedy ?? '', /continues from here/);
  const command = write('b', '', [], {
    run: async () => void (await runCommand('sh', ['-c', 'seq 9 >/dev/full'])),
  });
  await refused(run([command]), 'builder/disk-full');
});

void test('a failure ends the tasks that run beside it', async (t) => {
  const { run } = await bench(t);
  const slow = write('slow', '', [], { run: async () => void (await runCommand('sleep', ['60'])) });
  const bad = write('bad', '', [], { run: () => Promise.reject(new Error('no')) });
  const begin = performance.now();
  const error = await refused(run([slow, bad], { wanted: ['slow', 'bad'] }), 'builder/task-failed');
  assert.match(error.message, /Task bad failed: no/);
  assert.ok(performance.now() - begin < 10_000);
});

void test('a stop ends commands and leaves nothing half-written', async (t) => {
  const { run, folder } = await bench(t);
  const stop = new AbortController();
  const slow = write('slow', '', ['a'], {
    run: async ({ out }) => {
      await writeFile(join(out, 'half'), 'x');
      setTimeout(() => stop.abort(), 100);
      await runCommand('sh', ['-c', `sleep 60 & sleep 60; echo late >${join(out, 'late')}`]);
    },
  });
  const error = await refused(run([write('a', 'A'), slow], { signal: stop.signal }), 'builder/stopped');
  assert.match(error.remedy ?? '', /continues from here/);
  assert.equal((await readdir(join(folder, 'cache', 'tasks'))).length, 1);
  assert.deepEqual(await readdir(join(folder, 'cache', 'locks')), []);
  assert.deepEqual(await readdir(join(folder, 'cache', 'staging')), []);
  assert.deepEqual(ran(await run([write('a', 'A'), write('slow', 'S', ['a'])])), ['slow']);
});

void test('no more tasks run side by side than asked for, the longest chain first', async (t) => {
  const { run } = await bench(t);
  const order: string[] = [];
  let running = 0;
  const task = (name: string, needs: string[] = []): Task =>
    write(name, name, needs, {
      run: async () => {
        order.push(name);
        assert.ok(++running <= 2);
        await new Promise((resolve) => setTimeout(resolve, 20));
        running--;
      },
    });
  const alone = ['p', 'q', 'r', 's'].map((name) => task(name));
  const chain = [task('c1'), task('c2', ['c1']), task('c3', ['c2'])];
  await run([...alone, ...chain], { wanted: ['p', 'q', 'r', 's', 'c3'], jobs: 1 });
  assert.ok(order.indexOf('c1') <= 1, order.join());
  await run(
    ['t', 'u', 'v', 'w'].map((name) => task(name)),
    { wanted: ['t', 'u', 'v', 'w'], jobs: 2 },
  );
});

void test('two runs at once build each task once', async (t) => {
  const { run, events } = await bench(t);
  let count = 0;
  const graph = [
    write('a', 'A', [], {
      run: async ({ out }) => {
        count++;
        await new Promise((resolve) => setTimeout(resolve, 300));
        await writeFile(join(out, 'text'), 'A');
      },
    }),
  ];
  const reports = await Promise.all([run(graph), run(graph)]);
  assert.equal(count, 1);
  assert.deepEqual(reports.flatMap(ran), ['a']);
  assert.ok(events.some((event) => event.kind === 'waiting' && event.pid === process.pid));
});

void test('an input that changes while its task runs never stands under the wrong key', async (t) => {
  const { run, folder } = await bench(t);
  const file = join(folder, 'source');
  await writeFile(file, 'old');
  let edits = 1;
  const copy: Task = write('copy', '', [], {
    files: [file],
    run: async ({ out }) => {
      const content = await readFile(file, 'utf8');
      if (edits-- > 0) await appendFile(file, '+');
      await writeFile(join(out, 'text'), content);
    },
  });
  assert.equal(await textOf(await run([copy]), 'copy'), 'old+');
  await writeFile(file, 'old');
  assert.equal(await textOf(await run([copy]), 'copy'), 'old');
  edits = Number.POSITIVE_INFINITY;
  await writeFile(file, 'new');
  await refused(run([copy]), 'builder/inputs-changing');
});

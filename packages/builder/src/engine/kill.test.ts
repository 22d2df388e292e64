// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Task } from '../task.ts';
import { runCommand } from './run-command.ts';
import { runTasks } from './run-tasks.ts';

const commandSteps = 4;

/** Six tasks that each write many files slowly, some through a command with children; everything is determined by the inputs. */
function graph(): Task[] {
  const task = (name: string, needs: string[]): Task => ({
    name,
    title: name,
    code: import.meta.filename,
    inputs: { name },
    needs,
    async run(context) {
      const before = await Promise.all(
        needs.map((need) => readFile(join(context.need(need), 'last'), 'utf8')),
      );
      const script = `i=0; while [ $i -lt ${commandSteps} ]; do
        mkdir -p d$i; echo ${name} $i >d$i/file; (sleep 0.01; echo child >>d$i/file); i=$((i+1)); done
        echo "${name}(${before.join(',').replaceAll('\n', '')})" >last`;
      await runCommand('sh', ['-ec', script], { cwd: context.out });
    },
  });
  return [
    task('a', []),
    task('b', ['a']),
    task('c', ['a']),
    task('d', ['b', 'c']),
    task('e', ['d']),
    task('f', ['d']),
  ];
}

const options = (folder: string): Parameters<typeof runTasks>[1] => ({
  cacheDirectory: join(folder, 'cache'),
  privateDirectory: join(folder, 'private'),
  wanted: ['e', 'f'],
});

// The same file is the program that gets killed.
if (process.argv[2] === 'run' && process.argv[3] !== undefined) {
  await runTasks(graph(), options(process.argv[3]));
} else {
  void test('a build that is killed at any instant is continued by the next one', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'mbl-kill-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const clean = join(folder, 'clean');
    const begin = performance.now();
    await once(spawn(process.execPath, [import.meta.filename, 'run', clean]), 'exit');
    const whole = performance.now() - begin;
    const expected = await runTasks(graph(), options(clean));

    let killed = 0;
    let finished = 0;
    for (let round = 0; round < 4; round++) {
      const place = join(folder, String(round));
      let done = false;
      for (let attempt = 0; !done; attempt++) {
        const children = [0, 1]
          .slice(0, 1 + (round % 2))
          .map(() => spawn(process.execPath, [import.meta.filename, 'run', place], { stdio: 'inherit' }));
        const ends = await Promise.all(
          children.map(async (child) => {
            // At any instant of a run on this machine as it is now; the last attempt may finish.
            const instant = attempt < 5 ? Math.random() * whole : 60_000;
            const timer = setTimeout(() => child.kill('SIGKILL'), instant);
            const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
            clearTimeout(timer);
            assert.ok(code === 0 || signal === 'SIGKILL', `ended with ${code} ${signal}`);
            return code === 0;
          }),
        );
        killed += ends.filter((end) => !end).length;
        finished += ends.filter((end) => end).length;
        // What is in the cache is whole, whenever it is looked at.
        for (const id of await readdir(join(place, 'cache', 'tasks')).catch(() => []))
          await readFile(join(place, 'cache', 'tasks', id, 'output.json'));
        done = ends.includes(true);
      }
      const report = await runTasks(graph(), { ...options(place), verify: true });
      assert.ok(report.tasks.every((task) => task.cached));
      for (const [name, output] of report.outputs)
        assert.equal(await contents(output), await contents(expected.outputs.get(name) ?? ''), name);
      assert.deepEqual(await readdir(join(place, 'cache', 'staging')), []);
    }
    t.diagnostic(`${killed} builds killed, ${finished} finished`);
    assert.ok(killed > 0, 'no build was killed');
  });
}

async function contents(folder: string): Promise<string> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const texts = files.map(async ({ parentPath, name }) => {
    const file = join(parentPath, name);
    return `${file.slice(folder.length)}: ${await readFile(file, 'utf8')}`;
  });
  return (await Promise.all(texts)).toSorted().join('');
}

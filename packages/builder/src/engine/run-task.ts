// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, writeSync } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import type { Task, TaskContext } from '../task.ts';
import { currentTask } from './current-task.ts';
import { currentTools, joinTools, type ToolEnvironment } from './current-tools.ts';
import type { TaskEvent } from './events.ts';
import { taskFailure } from './failure.ts';
import { endOrphans } from './orphans.ts';
import type { Output, Store } from './store.ts';

/** A task that fails with less than this free, in bytes, failed for want of space: many tools do not say so. */
const leastSpace = 4 * 1024 * 1024;

interface RunTaskOptions {
  readonly store: Store;
  readonly id: string;
  /** Opens a toolbox by its name. */
  readonly openTools: (name: string, context: TaskContext) => Promise<ToolEnvironment>;
  readonly needs: ReadonlyMap<string, Output>;
  readonly signal: AbortSignal;
  /** False when an input file is other than it was when the key was made. */
  readonly isCurrent: () => Promise<boolean>;
  readonly tell: (event: TaskEvent) => void;
}

/**
 * Runs one task in an empty folder and makes what it leaves its output; undefined when somebody changed an input file meanwhile, so
 * that what was made does not belong to the key. The lock of `id` must be held.
 */
export async function runTask(
  task: Task,
  { store, id, openTools, needs, signal, isCurrent, tell }: RunTaskOptions,
): Promise<Output | undefined> {
  const about = { task: task.name, title: task.title };
  const mark = store.staging(id);
  const log = store.log(id);
  const lines: string[] = [];
  const outputOf = (name: string): Output => {
    const output = needs.get(name);
    if (output !== undefined) return output;
    throw new MblError(
      'builder/task-graph',
      `The task "${task.name}" uses "${name}" without naming it in its needs.`,
    );
  };
  let file: number | undefined;
  try {
    // A staging folder that is there was left by a killed build, and perhaps its commands are still writing there.
    if (await exists(mark)) await endOrphans(mark, signal);
    const { out, work } = await store.prepare(id);
    const sink = openSync(log, 'w', 0o600);
    file = sink;
    const context: TaskContext = {
      out,
      work,
      signal,
      need: (name) => outputOf(name).folder,
      digest: (name) => outputOf(name).digest,
      log: (line) => {
        writeSync(sink, `${line}\n`);
        lines.push(line);
        if (lines.length > 20) lines.shift();
        tell({ kind: 'log', ...about, line });
      },
      progress: (fraction, what) => tell({ kind: 'progress', ...about, fraction, what }),
    };
    await currentTask.run({ mark, signal, log: (line) => context.log(line) }, async () => {
      const tools = await Promise.all((task.tools ?? []).map((name) => openTools(name, context)));
      await (tools.length === 0
        ? task.run(context)
        : currentTools.run(joinTools(tools), () => task.run(context)));
    });
    signal.throwIfAborted();
    if (!(await isCurrent())) {
      await store.discard(id);
      return undefined;
    }
    return await store.commit(id);
  } catch (cause) {
    const full = (await freeSpace(store.folder)) < leastSpace;
    // What is half-made is of no use, and may be what fills the disk. Its log stays.
    await store.discard(id).catch(() => undefined);
    if (signal.aborted) throw cause;
    throw taskFailure(task, cause, { log, folder: store.folder, lines, full });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function freeSpace(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

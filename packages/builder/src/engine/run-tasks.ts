// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import type { Json, Task, TaskContext } from '../task.ts';
import { digestJson } from './canonical.ts';
import { CodeFinder } from './code.ts';
import type { ToolEnvironment } from './current-tools.ts';
import { displayPath } from '@mbl/formats';
import { errnoOf } from './errno.ts';
import type { TaskEvent, TaskReport } from './events.ts';
import { diskFull } from './failure.ts';
import { lockFile } from './file-lock.ts';
import { planTasks, type Step } from './graph.ts';
import { changes, Records, type TaskRecord } from './record.ts';
import { runTask } from './run-task.ts';
import { stopped } from './run-command.ts';
import { Slots } from './slots.ts';
import { type Found, type Output, Store } from './store.ts';
import { listTree, treeDigest } from './tree.ts';

/** Part of every key: a higher number makes every task run again. */
const engineVersion = 2;

/** A toolbox that tasks may name. */
export interface TaskTools {
  /** What identifies it, in the keys of those tasks. */
  readonly identity: Json;
  /** Makes it ready; called by each task that uses it, when it runs, and for what is done outside of tasks. */
  open(context?: TaskContext): Promise<ToolEnvironment>;
}

export interface RunTasksOptions {
  /** Outputs that any workspace may share. */
  readonly cacheDirectory: string;
  /** Outputs of `private` tasks, and the records that `explain` compares with; only its owner may enter. */
  readonly privateDirectory: string;
  /** Names of the tasks whose outputs are asked for. */
  readonly wanted: readonly string[];
  /** Finds the code of tasks, as it was when it first looked. Default: one of its own. */
  readonly code?: CodeFinder;
  /** The toolboxes by name. */
  readonly tools?: Readonly<Record<string, TaskTools>>;
  /** How many tasks run at the same time. Default: 2. */
  readonly jobs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Read all cached outputs, not only those whose size or time differ. */
  readonly verify?: boolean;
  readonly onEvent?: ((event: TaskEvent) => void) | undefined;
}

export interface RunReport {
  /** The output folder of each task that was asked for or needed. */
  readonly outputs: ReadonlyMap<string, string>;
  readonly tasks: readonly TaskReport[];
  /** From the call to its end. */
  readonly seconds: number;
}

/**
 * Brings the outputs of `wanted` up to date: takes what is in the cache, runs what is not. A task's key is the SHA-256 of its name,
 * inputs, input files, code, tools and the *outputs* of its needs, so that a task which runs again and leaves the same bytes ends the
 * chain.
 *
 * May be killed at any time, and run by many processes at once. Throws `builder/task-graph`, `builder/task-failed` (the end of the log in
 * the message), `builder/disk-full`, `builder/stopped`, and what a task throws with its own code.
 */
export async function runTasks(tasks: readonly Task[], options: RunTasksOptions): Promise<RunReport> {
  const steps = planTasks(tasks, options.wanted);
  const begin = performance.now();
  const run = new Run(steps, options);
  const reports = await run.all();
  return {
    outputs: new Map(reports.map(({ task, folder }) => [task, folder])),
    tasks: reports,
    seconds: (performance.now() - begin) / 1000,
  };
}

interface Done extends TaskReport {
  readonly output: Output;
}

class Run {
  readonly #steps: ReadonlyMap<string, Step>;
  readonly #options: RunTasksOptions;
  readonly #shared: Store;
  readonly #private: Store;
  readonly #records: Records;
  readonly #slots: Slots;
  readonly #code: CodeFinder;
  readonly #failure = new AbortController();
  readonly #signal: AbortSignal;
  readonly #done = new Map<string, Promise<Done>>();
  #finished = 0;

  constructor(steps: ReadonlyMap<string, Step>, options: RunTasksOptions) {
    this.#steps = steps;
    this.#options = options;
    this.#code = options.code ?? new CodeFinder();
    this.#shared = new Store(options.cacheDirectory, 0o755);
    this.#private = new Store(options.privateDirectory, 0o700);
    this.#records = new Records(join(options.privateDirectory, 'records'));
    this.#slots = new Slots(options.jobs ?? 2);
    const { signal } = this.#failure;
    this.#signal = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]);
  }

  async all(): Promise<TaskReport[]> {
    try {
      await this.#shared.start();
      await this.#private.start();
      await this.#records.start();
    } catch (cause) {
      const { cacheDirectory } = this.#options;
      throw (
        diskFull(cause, cacheDirectory) ??
        new MblError(
          'builder/cache-unusable',
          `The cache ${cacheDirectory} cannot be used: ${String(cause)}`,
          {
            remedy: 'Set MBL_CACHE to a folder that you may write to.',
            cause,
          },
        )
      );
    }
    // Now, and not when a task's turn comes: what was edited since is not what this process runs, and must not get its key.
    await Promise.all([...this.#steps.values()].map(({ task }) => this.#code.codeOf(task.code)));
    let first: { readonly error: unknown } | undefined;
    const results = await Promise.all(
      [...this.#steps.keys()].map(async (name) => {
        try {
          return await this.#build(name);
        } catch (error) {
          first ??= { error };
          this.#failure.abort(error);
          return undefined;
        }
      }),
    );
    if (this.#options.signal?.aborted === true) throw stopped(this.#options.signal.reason);
    if (first !== undefined) throw first.error;
    return results.flatMap((done) => (done === undefined ? [] : [withoutOutput(done)]));
  }

  #build(name: string): Promise<Done> {
    let promise = this.#done.get(name);
    if (promise === undefined) {
      promise = this.#buildOnce(name);
      this.#done.set(name, promise);
    }
    return promise;
  }

  async #buildOnce(name: string): Promise<Done> {
    const step = this.#steps.get(name);
    if (step === undefined) throw new MblError('builder/task-graph', `No task is called "${name}".`);
    const { task } = step;
    const needs = new Map<string, Output>();
    for (const need of step.needs) needs.set(need, (await this.#build(need)).output);
    // Somebody who edits while the build runs is served by the next attempt, which has what he wrote in its key.
    for (let attempt = 0; attempt < 5; attempt++) {
      const done = await this.#attempt(step, needs);
      if (done !== undefined) return done;
    }
    throw new MblError(
      'builder/inputs-changing',
      `The files of "${task.title}" change faster than it can be built.`,
      {
        remedy: 'Wait until nobody writes them, then run the same command again.',
        details: { task: name },
      },
    );
  }

  /** Takes the output from the cache or makes it; undefined when its input files changed while it was made. */
  async #attempt({ task, height }: Step, needs: ReadonlyMap<string, Output>): Promise<Done | undefined> {
    this.#signal.throwIfAborted();
    const { name } = task;
    const current = await this.#describe(task, needs);
    const last = await this.#records.read(name);
    const reasons = changes(last, current);
    const store = task.private === true ? this.#private : this.#shared;
    const id = `${name}-${current.key.slice(0, 16)}`;
    const found = await this.#find(store, id);
    if (found !== undefined && 'output' in found)
      return this.#end(task, current, found.output, { seconds: last?.seconds ?? 0, cached: true, reasons });

    using _slot = await this.#slots.take(height, this.#signal);
    await using _lock = await lockFile(store.lock(id), {
      signal: this.#signal,
      onWait: (pid) => this.#tell({ kind: 'waiting', task: name, title: task.title, pid }),
    });
    // Another process may have built it while this one waited.
    const again = await this.#find(store, id);
    if (again !== undefined && 'output' in again)
      return this.#end(task, current, again.output, { seconds: last?.seconds ?? 0, cached: true, reasons });
    if (again !== undefined) {
      this.#tell({ kind: 'damaged', task: name, title: task.title, what: again.damaged });
      reasons.unshift(`its cached output was damaged: ${again.damaged}`);
    } else if (reasons.length === 0) {
      reasons.push('its output is not in the cache any more');
    }
    this.#tell({ kind: 'start', task: name, title: task.title, reasons });
    const begin = performance.now();
    const output = await runTask(task, {
      store,
      id,
      openTools: (tools, context) => this.#tools(tools).open(context),
      needs,
      signal: this.#signal,
      isCurrent: async () => (await this.#describe(task, needs)).key === current.key,
      tell: (event) => this.#tell(event),
    });
    if (output === undefined) return undefined;
    const seconds = (performance.now() - begin) / 1000;
    return this.#end(task, current, output, { seconds, cached: false, reasons });
  }

  async #find(store: Store, id: string): Promise<Found> {
    return store.find(id, this.#options.verify);
  }

  async #end(
    task: Task,
    current: Omit<TaskRecord, 'seconds'>,
    output: Output,
    { seconds, cached, reasons }: { seconds: number; cached: boolean; reasons: readonly string[] },
  ): Promise<Done> {
    await this.#records.write(task.name, { ...current, seconds });
    const { name, title } = task;
    const done: Done = {
      task: name,
      title,
      seconds: cached ? 0 : seconds,
      cached,
      reasons,
      folder: output.folder,
      output,
    };
    this.#finished++;
    this.#tell({ kind: 'end', ...withoutOutput(done), finished: this.#finished, total: this.#steps.size });
    return done;
  }

  /** Everything that the task depends on, and its key. */
  async #describe(task: Task, needs: ReadonlyMap<string, Output>): Promise<Omit<TaskRecord, 'seconds'>> {
    const files: Record<string, string> = {};
    const trees: string[] = [];
    const code = await this.#code.codeOf(task.code);
    for (const root of task.files ?? []) {
      try {
        const entries = await listTree(root);
        trees.push(treeDigest(entries));
        for (const entry of entries) files[join(root, entry.path)] = treeDigest([entry]);
      } catch (cause) {
        if (errnoOf(cause) !== 'ENOENT') throw cause;
        throw new MblError(
          'builder/missing-file',
          `${task.title} needs ${displayPath(root)}, which does not exist.`,
          {
            cause,
            details: { task: task.name, file: root },
          },
        );
      }
    }
    const digests = Object.fromEntries([...needs].map(([name, output]) => [name, output.digest]));
    const tools = Object.fromEntries(
      (task.tools ?? []).map((tools) => [tools, digestJson(this.#tools(tools).identity)]),
    );
    const { name, inputs } = task;
    const { packages } = code;
    trees.push(...Object.values(code.files));
    const all = { engine: engineVersion, name, inputs, files: trees, packages, tools, needs: digests };
    return {
      version: 1,
      key: digestJson(all),
      engine: engineVersion,
      inputs,
      files: { ...files, ...code.files },
      packages,
      tools,
      needs: digests,
    };
  }

  #tools(name: string): TaskTools {
    const found = this.#options.tools?.[name];
    if (found !== undefined) return found;
    throw new MblError('builder/task-graph', `The task graph is wrong: no toolbox is called "${name}".`);
  }

  #tell(event: TaskEvent): void {
    this.#options.onEvent?.(event);
  }
}

function withoutOutput({ task, title, seconds, cached, reasons, folder }: Done): TaskReport {
  return { task, title, seconds, cached, reasons, folder };
}

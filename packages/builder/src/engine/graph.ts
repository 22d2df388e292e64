// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Task } from '../task.ts';

/** A task with its place in the graph. */
export interface Step {
  readonly task: Task;
  readonly needs: readonly string[];
  /** Tasks on the longest way from here to a wanted one: what many wait for goes first. */
  height: number;
}

/**
 * The tasks that `wanted` need, each after what it needs. Throws `builder/task-graph` for an unknown or twice given name and for a
 * circle.
 */
export function planTasks(tasks: readonly Task[], wanted: readonly string[]): Map<string, Step> {
  const byName = new Map<string, Task>();
  for (const task of tasks) {
    if (!/^[a-z0-9][a-z0-9._+-]{0,79}$/.test(task.name))
      throw graphError(`"${task.name}" cannot be the name of a task`);
    if (byName.has(task.name)) throw graphError(`two tasks are called "${task.name}"`);
    byName.set(task.name, task);
  }
  const steps = new Map<string, Step>();
  const open: string[] = [];
  const visit = (name: string): void => {
    if (steps.has(name)) return;
    const task = byName.get(name);
    const from = open.at(-1);
    if (task === undefined)
      throw graphError(
        from === undefined ? `no task is called "${name}"` : `"${from}" needs "${name}", which is no task`,
      );
    if (open.includes(name))
      throw graphError(`a circle: ${[...open.slice(open.indexOf(name)), name].join(' needs ')}`);
    open.push(name);
    const needs = [...new Set(task.needs)];
    for (const need of needs) visit(need);
    open.pop();
    steps.set(name, { task, needs, height: 0 });
  };
  for (const name of wanted) visit(name);
  // Insertion order is "needs first", so backwards every step knows its height before its needs ask for it.
  for (const step of [...steps.values()].toReversed())
    for (const need of step.needs) {
      const below = steps.get(need);
      if (below !== undefined) below.height = Math.max(below.height, step.height + 1);
    }
  return steps;
}

function graphError(what: string): MblError {
  return new MblError('builder/task-graph', `The task graph is wrong: ${what}.`);
}

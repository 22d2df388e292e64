// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Json } from '../task.ts';
import { displayPath } from '@mbl/formats';

/** What a task depended on when it was last asked for in this workspace. */
export interface TaskRecord {
  readonly version: 1;
  readonly key: string;
  readonly engine: number;
  readonly inputs: Json;
  /** Digest by absolute path of each input file. */
  readonly files: Readonly<Record<string, string>>;
  /** Node, and packages of npm that its code uses: `name version`. */
  readonly packages: readonly string[];
  /** Digest by name of each toolbox. */
  readonly tools: Readonly<Record<string, string>>;
  /** Output digest by name of each task in `needs`. */
  readonly needs: Readonly<Record<string, string>>;
  /** How long it took when it last ran. */
  readonly seconds: number;
}

/** The last record of each task, in a folder: what `explain` compares with. Losing one costs an explanation, never a build. */
export class Records {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
  }

  async read(task: string): Promise<TaskRecord | undefined> {
    try {
      const value: unknown = JSON.parse(await readFile(this.#file(task), 'utf8'));
      return isRecord(value) ? value : undefined;
    } catch {
      return undefined;
    }
  }

  async write(task: string, record: TaskRecord): Promise<void> {
    const draft = `${this.#file(task)}.${process.pid}`;
    await writeFile(draft, JSON.stringify(record), { mode: 0o600 });
    await rename(draft, this.#file(task));
  }

  #file(task: string): string {
    return join(this.#folder, `${task}.json`);
  }
}

function isRecord(value: unknown): value is TaskRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { version, key, files, packages, tools, needs, seconds } = value as Partial<TaskRecord>;
  return (
    version === 1 &&
    typeof key === 'string' &&
    isObject(files) &&
    Array.isArray(packages) &&
    isObject(tools) &&
    isObject(needs) &&
    typeof seconds === 'number'
  );
}

/** Why a task has another key than in its last record: one line for each cause, at most `limit` of a kind. */
export function changes(
  before: TaskRecord | undefined,
  after: Omit<TaskRecord, 'seconds'>,
  limit = 4,
): string[] {
  if (before === undefined) return ['never built here'];
  if (before.key === after.key) return [];
  const reasons = [
    ...(before.engine === after.engine ? [] : [`engine changed ${before.engine} -> ${after.engine}`]),
    ...short(inputChanges(before.inputs, after.inputs, 'inputs'), limit, 'inputs'),
    ...short(nameChanges(before.files, after.files, 'file', displayPath), limit, 'files'),
    ...short(inputChanges(before.packages, after.packages, 'packages'), limit, 'packages'),
    ...short(nameChanges(before.tools, after.tools, 'toolbox'), limit, 'toolboxes'),
    ...short(nameChanges(before.needs, after.needs, 'need'), limit, 'needs'),
  ];
  return reasons.length === 0 ? ['something changed'] : reasons;
}

function inputChanges(before: Json | undefined, after: Json | undefined, path: string): string[] {
  const [a, b] = [JSON.stringify(before), JSON.stringify(after)];
  if (a === b) return [];
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
    return keys.flatMap((key) => inputChanges(before[key], after[key], `${path}.${key}`));
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const [old, now] = [texts(before), texts(after)];
    const added = now.filter((item) => !old.includes(item)).map((item) => `${path} + ${cut(item)}`);
    const removed = old.filter((item) => !now.includes(item)).map((item) => `${path} - ${cut(item)}`);
    return added.length + removed.length > 0 ? [...added, ...removed] : [`${path} changed its order`];
  }
  if (before === undefined) return [`${path} is new: ${cut(b)}`];
  if (after === undefined) return [`${path} is gone`];
  return [`${path} changed ${cut(a)} -> ${cut(b)}`];
}

function nameChanges(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  kind: string,
  display: (name: string) => string = (name) => name,
): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted().flatMap((name) => {
    if (before[name] === after[name]) return [];
    const what = before[name] === undefined ? 'is new' : after[name] === undefined ? 'is gone' : 'changed';
    return [`${kind} ${display(name)} ${what}`];
  });
}

const texts = (items: readonly Json[]): string[] => items.map((item) => JSON.stringify(item));
const cut = (value = ''): string => (value.length > 60 ? `${value.slice(0, 57)}...` : value);

function short(lines: readonly string[], limit: number, kind: string): string[] {
  if (lines.length <= limit) return [...lines];
  return [...lines.slice(0, limit), `and ${lines.length - limit} more ${kind}`];
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

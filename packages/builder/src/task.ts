// SPDX-License-Identifier: Apache-2.0

/** A JSON value: what may stand in a task's inputs. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a running task gets. */
export interface TaskContext {
  /** An empty folder; what the task leaves in it is its output. */
  readonly out: string;
  /** A scratch folder, removed afterwards. */
  readonly work: string;
  /** The output folder of a task named in `needs`. */
  need(name: string): string;
  /** SHA-256 of the output of a task named in `needs`, 64 lower hex. */
  digest(name: string): string;
  /** A line for the task's log (and for `--verbose`). */
  log(line: string): void;
  /** Progress between 0 and 1, or a word about what is being done. */
  progress(fraction: number | undefined, what?: string): void;
  readonly signal: AbortSignal;
}

/**
 * A step of the build. Its key is the hash of `name`, `inputs`, the digests of `files`, of the code behind `code`, of its `tools` and of
 * the outputs of `needs`; the output of a key that was built before is taken from the cache. `run` must depend on nothing else.
 */
export interface Task {
  readonly name: string;
  /** What a person reads while it runs: "U-Boot 2025.01". */
  readonly title: string;
  /** The module that defines it (`import.meta.filename`), and others that it works on: their source and all that they import is an input. */
  readonly code: string | readonly string[];
  readonly inputs: Json;
  /** Files or folders whose contents are inputs (absolute paths). */
  readonly files?: readonly string[];
  readonly needs?: readonly string[];
  /** Toolboxes whose programs it calls, by name; it finds no others. */
  readonly tools?: readonly string[];
  /** Outputs that hold private keys or change with them stay out of the shared cache. Default: shared. */
  readonly private?: boolean;
  run(context: TaskContext): Promise<void>;
}

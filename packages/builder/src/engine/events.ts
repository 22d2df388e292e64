// SPDX-License-Identifier: Apache-2.0

/** What became of a task. */
export interface TaskReport {
  readonly task: string;
  readonly title: string;
  /** How long it ran; 0 when its output was in the cache. */
  readonly seconds: number;
  readonly cached: boolean;
  /** Why it ran, or what is other than the last time: "inputs.version changed 1 -> 2". Empty: nothing changed. */
  readonly reasons: readonly string[];
  /** Its output folder. */
  readonly folder: string;
}

interface About {
  readonly task: string;
  readonly title: string;
}

/** What a build tells while it runs, for progress bars and `--verbose`. */
export type TaskEvent =
  | (About & { readonly kind: 'start'; readonly reasons: readonly string[] })
  /** `fraction` is from 0 to 1, or undefined when nobody knows. */
  | (About & {
      readonly kind: 'progress';
      readonly fraction: number | undefined;
      readonly what: string | undefined;
    })
  | (About & { readonly kind: 'log'; readonly line: string })
  /** Another process builds the same. */
  | (About & { readonly kind: 'waiting'; readonly pid: number })
  /** The cached output is not what was built; the task runs again. */
  | (About & { readonly kind: 'damaged'; readonly what: string })
  | (TaskReport & { readonly kind: 'end'; readonly finished: number; readonly total: number });

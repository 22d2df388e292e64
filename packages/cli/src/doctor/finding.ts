// SPDX-License-Identifier: Apache-2.0

/** What `mbl doctor` says of one thing. `warning`: works, but may not for long or not for all. */
export interface Diagnosis {
  readonly what: string;
  readonly state: 'good' | 'warning' | 'bad';
  readonly found: string;
  /** What to do; with every state but `good`. */
  readonly remedy?: string;
}

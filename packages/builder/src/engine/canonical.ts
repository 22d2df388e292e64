// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import type { Json } from '../task.ts';

/** JSON with sorted keys and no spaces: equal values give equal texts. Keys whose value is undefined are left out. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((each: Json) => canonicalJson(each)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    const sorted = entries.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return `{${sorted.map(([key, each]) => `${JSON.stringify(key)}:${canonicalJson(each)}`).join(',')}}`;
  }
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined || (typeof value === 'number' && !Number.isFinite(value)))
    throw new MblError(
      'builder/task-graph',
      `A task's inputs hold ${String(value)}, which is not a JSON value.`,
    );
  return text;
}

/** SHA-256 of a value's canonical JSON, 64 lower hex. */
export function digestJson(value: Json): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

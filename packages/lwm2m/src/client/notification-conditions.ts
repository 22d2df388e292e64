// SPDX-License-Identifier: Apache-2.0
import type { Node } from '../node.ts';
import { formatPath } from '../path.ts';
import type { Lwm2mValue } from '../values.ts';
import { isObjectLink } from '../values.ts';
import type { Attributes } from './attributes.ts';

/** Whether gt, lt or st ask for a notification; undefined when none of them is set (LwM2M Core 1.1 §5.1.2). */
export function crossesCondition(
  before: readonly Node[],
  now: readonly Node[],
  { gt, lt, st }: Attributes,
): boolean | undefined {
  if (gt === undefined && lt === undefined && st === undefined) return undefined;
  const old = new Map(before.map(({ path, value }) => [formatPath(path), Number(value)]));
  return now.some(({ path, value }) => {
    const current = Number(value);
    const previous = old.get(formatPath(path));
    if (previous === undefined) return true;
    if (st !== undefined && Math.abs(current - previous) >= st) return true;
    return [gt, lt].some((limit) => limit !== undefined && crosses(limit, previous, current));
  });
}

/** In either direction: from at or below to above, from at or above to below. */
function crosses(limit: number, previous: number, current: number): boolean {
  return (previous <= limit && current > limit) || (previous >= limit && current < limit);
}

export function sameNodes(a: readonly Node[], b: readonly Node[]): boolean {
  return (
    a.length === b.length &&
    a.every((node, index) => {
      const other = b[index];
      return (
        other !== undefined &&
        formatPath(node.path) === formatPath(other.path) &&
        sameValue(node.value, other.value)
      );
    })
  );
}

function sameValue(a: Lwm2mValue, b: Lwm2mValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, index) => byte === b[index]);
  }
  if (isObjectLink(a) && isObjectLink(b)) return a.objectId === b.objectId && a.instanceId === b.instanceId;
  return Object.is(a, b);
}

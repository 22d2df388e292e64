// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from './errors.ts';

/** Object, object instance, resource, resource instance: 0 to 4 identifiers, each 0..65534 (LwM2M Core 1.1 §7.3). */
export type Path = readonly number[];

/** Operations take a path in either form. */
export type PathLike = string | Path;

/** 65535 is reserved (MAX_ID, LwM2M Core 1.1 §7.3.1). */
export const maxId = 65534;
const idPattern = /^(?:0|[1-9]\d{0,4})$/;

/** Parses `/3/0/1`; the leading slash may be missing, `/` is the root. Throws `lwm2m/path-invalid` (4.00). */
export function parsePath(text: string): Path {
  const trimmed = text.startsWith('/') ? text.slice(1) : text;
  return parseSegments(trimmed === '' ? [] : trimmed.split('/', 6));
}

/** Parses Uri-Path segments. Throws `lwm2m/path-invalid` (4.00). */
export function parseSegments(segments: readonly string[]): Path {
  const ids = segments.map((segment) => (idPattern.test(segment) ? Number(segment) : Number.NaN));
  if (ids.length > 4 || ids.some((id) => !isId(id))) {
    const shown = `/${segments.join('/')}`.slice(0, 80);
    throw new Lwm2mError('lwm2m/path-invalid', `not an LwM2M path: ${shown}`, { status: Code.BAD_REQUEST });
  }
  return ids;
}

export function toPath(path: PathLike): Path {
  return typeof path === 'string' ? parsePath(path) : parseSegments(path.map(String));
}

/** `[3, 0, 1]` to `/3/0/1`; the root is `/`. */
export function formatPath(path: Path): string {
  return `/${path.join('/')}`;
}

export function isId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id <= maxId;
}

/** Whether `path` is `ancestor` or lies below it. */
export function isWithin(path: Path, ancestor: Path): boolean {
  return ancestor.length <= path.length && ancestor.every((id, index) => path[index] === id);
}

export function comparePaths(a: Path, b: Path): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

// SPDX-License-Identifier: Apache-2.0
import { formatPosition, formatSize, type Position } from '@mbl/formats';

/** What a layer changes in a machine or an image that is not its own. */
export interface Override {
  readonly layer: string;
  readonly kind: 'machine' | 'image';
  readonly name: string;
  /** The key, with dots: "partitions.data.size". */
  readonly key: string;
  /** As a person reads it; undefined for what was not there, or is there no more. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** Where the layer says so. */
  readonly at: Position;
}

/** "layer acme: machine qemu-arm64: partitions.data.size 1 GiB -> 2 GiB (layer.yaml:7:5)". */
export function formatOverride({ layer, kind, name, key, before, after, at }: Override): string {
  const change =
    before === undefined ? `+ ${after}` : after === undefined ? `- ${before}` : `${before} -> ${after}`;
  return `layer ${layer}: ${kind} ${name}: ${key} ${change} (${formatPosition(at)})`;
}

type Difference = Pick<Override, 'key' | 'before' | 'after'>;

/** What differs between two values of the same shape, leaf by leaf. Lists are compared as sets; mappings in them by `name`. */
export function differences(before: unknown, after: unknown, key = ''): Difference[] {
  if (before === after) return [];
  if (isPlainObject(before) && isPlainObject(after)) {
    const fields = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...fields].flatMap((field) => {
      const path = key === '' ? kebab(field) : `${key}.${kebab(field)}`;
      return differences(before[field], after[field], path);
    });
  }
  if (Array.isArray(before) && Array.isArray(after)) return listDifferences(before, after, key);
  if (before === undefined && Array.isArray(after)) return listDifferences([], after, key);
  return [{ key, before: show(before, key), after: show(after, key) }];
}

function listDifferences(before: readonly unknown[], after: readonly unknown[], key: string): Difference[] {
  const old = new Map(before.map((item) => [nameOf(item), item]));
  const now = new Map(after.map((item) => [nameOf(item), item]));
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((name) => {
    const [a, b] = [old.get(name), now.get(name)];
    if (a === undefined) return [{ key, before: undefined, after: name }];
    if (b === undefined) return [{ key, before: name, after: undefined }];
    return isPlainObject(a) ? differences(a, b, `${key}.${name}`) : [];
  });
}

function nameOf(item: unknown): string {
  if (!isPlainObject(item)) return String(item);
  const name = item['name'];
  return typeof name === 'string' ? name : JSON.stringify(item);
}

function show(value: unknown, key: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && /(^|\.)(size|memory|disk|download|fip-offset)$/.test(key))
    return formatSize(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const kebab = (field: string): string => field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

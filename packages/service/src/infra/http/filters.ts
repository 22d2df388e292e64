// SPDX-License-Identifier: Apache-2.0
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import { type FieldError, invalid } from './errors.ts';

const operators = ['eq', 'neq', 'in', 'nin', 'lte', 'gte', 'like'] as const;
export type Operator = (typeof operators)[number];

export interface FilterField {
  readonly type: 'string' | 'boolean' | 'integer' | 'date' | 'map';
  readonly operators: readonly Operator[];
  /** The column when it is not named like the field. */
  readonly column?: string;
}

export type FilterFields = Readonly<Record<string, FilterField>>;

export const text: FilterField = { type: 'string', operators: ['eq', 'neq', 'in', 'nin'] };
export const flag: FilterField = { type: 'boolean', operators: ['eq', 'neq'] };
export const integer: FilterField = { type: 'integer', operators: ['eq', 'neq', 'in', 'nin'] };
export const date: FilterField = { type: 'date', operators: ['in', 'nin', 'lte', 'gte'] };

const maximumConditions = 50;
const maximumValues = 500;

type Value = string | number | boolean;

/** The query parameters that filter a list, for the published description of a route. */
export function filterParameters(fields: FilterFields): Record<string, z.ZodOptional<z.ZodString>> {
  const names = Object.entries(fields).flatMap(([name, field]) =>
    field.type === 'map' ? [] : field.operators.map((operator) => `${name}__${operator}`),
  );
  return Object.fromEntries(names.map((name) => [name, z.string().optional()]));
}

/**
 * Turns a list route's query into SQL conditions. Filters come in two encodings, which may be mixed: `filter`, whose one value
 * holds `name__operator=value` pairs joined by `&`, and direct parameters. No operator means `eq`.
 * Throws a validation error that names every unknown or malformed key.
 */
export function parseFilters(
  query: Readonly<Record<string, unknown>>,
  fields: FilterFields,
): RawBuilder<SqlBool>[] {
  const errors: FieldError[] = [];
  const pairs: [string, string][] = [];
  for (const [key, value] of Object.entries(query)) {
    if (['limit', 'after', 'order', 'include'].includes(key) || value === undefined) continue;
    if (typeof value !== 'string') errors.push({ name: key, message: 'Given more than once' });
    else if (key === 'filter') pairs.push(...legacyPairs(value));
    else pairs.push([key, value]);
  }
  if (pairs.length > maximumConditions) {
    errors.push({ name: 'filter', message: `More than ${maximumConditions} conditions` });
  }
  const conditions: RawBuilder<SqlBool>[] = [];
  for (const [key, value] of pairs.slice(0, maximumConditions)) {
    const result = condition(key, value, fields);
    if (typeof result === 'string') errors.push({ name: key.slice(0, 100), message: result });
    else conditions.push(result);
  }
  if (errors.length > 0) throw invalid(errors);
  return conditions;
}

function legacyPairs(filter: string): [string, string][] {
  return filter
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return [pair, ''];
      return [pair.slice(0, equals), decoded(pair.slice(equals + 1))];
    });
}

/** The value inside `filter` is percent-encoded once more by some clients and not by others. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function condition(key: string, raw: string, fields: FilterFields): RawBuilder<SqlBool> | string {
  const { name, operator } = splitKey(key);
  const attribute = /^([a-z_]+?)__(.+)$/s.exec(name);
  const map = attribute?.[1] === undefined ? undefined : fields[attribute[1]];
  if (map?.type === 'map' && attribute?.[1] !== undefined) {
    if (operator !== 'eq') return `Only eq can be used with ${attribute[1]}`;
    return sql<SqlBool>`${sql.ref(map.column ?? attribute[1])} ->> ${attribute[2]} = ${raw}`;
  }
  const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (field === undefined || field.type === 'map') return 'Unknown filter';
  if (!field.operators.includes(operator)) return `Can be used with ${field.operators.join(', ')}`;
  const list = operator === 'in' || operator === 'nin';
  const parts = list ? raw.split(',') : [raw];
  if (parts.length > maximumValues) return `More than ${maximumValues} values`;
  const values = parts.map((part) => parseValue(part, field.type));
  if (values.includes(undefined)) return `Not a ${field.type}`;
  return compare(sql.ref(field.column ?? name), operator, values as Value[]);
}

function splitKey(key: string): { name: string; operator: Operator } {
  const at = key.lastIndexOf('__');
  const operator = operators.find((known) => known === key.slice(at + 2));
  if (at <= 0 || operator === undefined) return { name: key, operator: 'eq' };
  return { name: key.slice(0, at), operator };
}

function compare(column: RawBuilder<unknown>, operator: Operator, values: Value[]): RawBuilder<SqlBool> {
  const [value] = values;
  switch (operator) {
    case 'eq':
      return sql`${column} = ${value}`;
    case 'neq':
      return sql`${column} is distinct from ${value}`;
    case 'in':
      return sql`${column} in (${sql.join(values)})`;
    case 'nin':
      return sql`(${column} is null or ${column} not in (${sql.join(values)}))`;
    case 'lte':
      return sql`${column} <= ${value}`;
    case 'gte':
      return sql`${column} >= ${value}`;
    case 'like':
      // strpos and not LIKE: what the caller gives is text, not a pattern.
      return sql`strpos(lower(${column}), lower(${value})) > 0`;
  }
}

function parseValue(raw: string, type: FilterField['type']): Value | undefined {
  if (raw.includes('\0')) return undefined;
  if (type === 'boolean') return raw === 'true' ? true : raw === 'false' ? false : undefined;
  if (type === 'integer') return /^-?\d{1,9}$/.test(raw) ? Number(raw) : undefined;
  // As text in UTC: the database driver writes a Date in local time, of which a column of plain dates takes the day.
  if (type === 'date') return parseDate(raw)?.toISOString();
  return raw;
}

/** RFC 3339 with or without fractions, a plain date, or the compact `20161130T162512Z`. */
export function parseDate(raw: string): Date | undefined {
  const compact = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(\.\d{1,9})?Z$/.exec(raw);
  const iso =
    compact === null
      ? raw
      : `${compact[1]}-${compact[2]}-${compact[3]}T${compact[4]}:${compact[5]}:${compact[6]}${compact[7] ?? ''}Z`;
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2}))?$/.test(iso)) return undefined;
  const parsed = new Date(iso);
  return Number.isNaN(parsed.getTime()) ? undefined : parsed;
}

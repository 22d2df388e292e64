// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** A JSON object whose members are checked one by one; every error names the file and the member. */
export interface JsonReader {
  /** A string of at most `maxLength` characters that `pattern` accepts. */
  string(name: string, pattern?: RegExp, maxLength?: number): string;
  object(name: string): JsonReader;
  is(name: string, value: unknown): boolean;
  readonly fail: (why: string, cause?: unknown) => MblError;
}

const maxDepth = 8;

/** Reads `text` as an object. Throws `code` for anything else. */
export function readJson(text: string, path: string, code: string): JsonReader {
  const fail = (why: string, cause?: unknown) =>
    new MblError(code, `${path}: ${why}`, { cause, details: { path } });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fail('not JSON', cause);
  }
  return reader(value, '', 0, fail);
}

function reader(value: unknown, at: string, depth: number, fail: JsonReader['fail']): JsonReader {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || depth > maxDepth) {
    throw fail(`${at === '' ? 'the whole' : `"${at}"`} must be an object`);
  }
  const member = (name: string): unknown =>
    Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  const title = (name: string) => (at === '' ? name : `${at}.${name}`);
  return {
    fail,
    is: (name, expected) => member(name) === expected,
    object: (name) => reader(member(name), title(name), depth + 1, fail),
    string(name, pattern = /^[^\p{Cc}]+$/u, maxLength = 256) {
      const text = member(name);
      if (typeof text === 'string' && text.length <= maxLength && pattern.test(text)) return text;
      throw fail(`"${title(name)}" is missing or not well formed`);
    },
  };
}

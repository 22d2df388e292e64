// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { hasMoreValues } from './json-values.ts';

/** How a kind of file is read. */
export interface RecordOptions {
  /** The file, for messages. */
  readonly path: string;
  /** The code of every error. */
  readonly code: string;
  readonly remedy?: string;
  /** The most characters that the text may have; longer ones are not looked at. */
  readonly most: number;
  /** The most values that it may have, of all depths, for a text that anybody may have written; default: any number. */
  readonly values?: number;
}

type Fail = (why: string, cause?: unknown) => MblError;

/** Text without control characters. */
const printable = /^[^\p{Cc}]+$/u;

/** Reads `text` as a JSON object. Throws `MblError` with the code of `options` for anything else. */
export function readRecord(text: string, { path, code, remedy, most, values }: RecordOptions): JsonRecord {
  const fail: Fail = (why, cause) =>
    new MblError(code, `${path}: ${why}`, {
      cause,
      details: { path },
      ...(remedy === undefined ? {} : { remedy }),
    });
  if (text.length > most) throw fail(`longer than ${most} characters`);
  if (values !== undefined && hasMoreValues(text, values)) throw fail(`more than ${values} values`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw fail('not JSON', cause);
  }
  return new JsonRecord(value, '', fail);
}

/**
 * A JSON object from outside whose members are taken out one by one. What is not asked for is not looked at, so nothing but the reader
 * decides how deep it goes. Every error names the file and the member.
 */
export class JsonRecord {
  /** An error about this file, to be thrown. */
  readonly fail: Fail;
  readonly #members: Readonly<Record<string, unknown>>;
  readonly #at: string;

  constructor(value: unknown, at: string, fail: Fail) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw fail(`${at === '' ? 'the whole' : `"${at}"`} must be an object`);
    this.fail = fail;
    this.#members = value as Record<string, unknown>;
    this.#at = at;
  }

  is(name: string, value: unknown): boolean {
    return this.#member(name) === value;
  }

  /** A string of at most `most` characters that `rule` accepts; without a rule, one without control characters. */
  string(name: string, rule: RegExp = printable, most = 256): string {
    return this.#text(this.#member(name), this.#title(name), rule, most);
  }

  /** A whole number from 0 to `most`. */
  integer(name: string, most: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#member(name);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
    throw this.fail(
      `"${this.#title(name)}" must be a whole number${most < 2 ** 53 - 1 ? ` up to ${most}` : ''}`,
    );
  }

  object(name: string): JsonRecord {
    return new JsonRecord(this.#member(name), this.#title(name), this.fail);
  }

  /** A list of at most `most` strings, by the rules of `string`. */
  strings(name: string, most: number, longest?: number): string[] {
    return this.#list(name, most).map((value, i) =>
      this.#text(value, `${this.#title(name)}[${i}]`, printable, longest ?? 256),
    );
  }

  /** A list of at most `most` whole numbers from 0 to `highest`. */
  integers(name: string, most: number, highest: number): number[] {
    return this.#list(name, most).map((value) => {
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= highest)
        return value;
      throw this.fail(`"${this.#title(name)}" must hold whole numbers up to ${highest}`);
    });
  }

  /** A list of at most `most` objects. */
  objects(name: string, most: number): JsonRecord[] {
    return this.#list(name, most).map(
      (value, i) => new JsonRecord(value, `${this.#title(name)}[${i}]`, this.fail),
    );
  }

  /** The members of an object, at most `most`, each an object itself. */
  entries(name: string, most: number): [string, JsonRecord][] {
    const inner = this.object(name);
    const names = Object.keys(inner.#members);
    if (names.length > most) throw this.fail(`"${this.#title(name)}" has more than ${most} members`);
    return names.map((member) => [member, inner.object(member)]);
  }

  #list(name: string, most: number): readonly unknown[] {
    const value = this.#member(name);
    if (Array.isArray(value) && value.length <= most) return value;
    throw this.fail(`"${this.#title(name)}" must be a list of at most ${most}`);
  }

  #text(value: unknown, title: string, rule: RegExp, most: number): string {
    if (typeof value === 'string' && value.length <= most && rule.test(value)) return value;
    throw this.fail(`"${title}" is missing or not well formed`);
  }

  #member(name: string): unknown {
    return Object.hasOwn(this.#members, name) ? this.#members[name] : undefined;
  }

  #title(name: string): string {
    return this.#at === '' ? name : `${this.#at}.${name}`;
  }
}

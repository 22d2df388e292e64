// SPDX-License-Identifier: Apache-2.0
import { lineAt, type SourceFile } from './check.ts';

/** An error code as the code raises it. Texts are as written, with … for what is put in at run time. */
export interface ErrorCode {
  readonly code: string;
  readonly file: string;
  readonly line: number;
  readonly message: string | undefined;
  readonly remedy: string | undefined;
}

const raised = /Error\(\s*(?<quote>['"])(?<code>[a-z0-9]+\/[a-z0-9]+(?:-[a-z0-9]+)*)\k<quote>/g;
const literal = /(?<quote>['"])(?<code>(?<area>[a-z0-9]+)\/[a-z0-9]+(?:-[a-z0-9]+)*)\k<quote>/g;

/**
 * Every error code in the sources of the packages and tools, tests apart, sorted. A code is a literal `'area/what'` whose area is a package, or
 * that of some `new …Error('area/…'`; so codes that reach the constructor by a variable are found too.
 */
export function findErrorCodes(sources: readonly SourceFile[]): ErrorCode[] {
  const product = sources
    .filter(({ path }) => /^(packages|tools)\/.*\.ts$/.test(path) && !/\.test\.ts$|\/testing\//.test(path))
    .map(({ path, text: code }) => ({ path, code: withoutComments(code) }));
  const areas = new Set<string | undefined>(product.map(({ path }) => path.split('/')[1]));
  for (const { code } of product) {
    for (const match of code.matchAll(raised)) areas.add(match.groups?.['code']?.split('/')[0]);
  }
  const found = new Map<string, ErrorCode>();
  for (const { path, code: source } of product) {
    for (const match of source.matchAll(literal)) {
      const { code = '', area } = match.groups ?? {};
      if (!areas.has(area) || found.get(code)?.message !== undefined) continue;
      const after =
        source.slice(match.index + match[0].length, match.index + 900).split(/\b\w*Error\(/)[0] ?? '';
      const entry = {
        code,
        file: path,
        line: lineAt(source, match.index),
        message: readText(after),
        remedy: readText(after.split(/\bremedy:/)[1] ?? ''),
      };
      if (!found.has(code) || entry.message !== undefined) found.set(code, entry);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.code < b.code ? -1 : 1));
}

function withoutComments(code: string): string {
  return code
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/^[ \t]*\/\/.*$/gm, '');
}

/** The string or template that `source` begins with, as a reader of a table sees it; undefined when it begins with something else. */
function readText(source: string): string | undefined {
  const start = /^[\s,(]*(?=['"`])/.exec(source)?.[0].length;
  if (start === undefined) return undefined;
  const quote = source[start];
  let result = '';
  for (let i = start + 1; i < source.length && source[i] !== quote; i += 1) {
    if (source[i] === '\\') {
      i += 1;
      result += source[i] === 'n' ? ' ' : source[i];
    } else if (quote === '`' && source.startsWith('${', i)) {
      for (let depth = 0; i < source.length; i += 1) {
        if (source[i] === '{') depth += 1;
        if (source[i] === '}') depth -= 1;
        if (source[i] === '}' && depth === 0) break;
      }
      result += '…';
    } else {
      result += source[i];
    }
  }
  return result.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();
}

// SPDX-License-Identifier: Apache-2.0
import { lineAt } from './check.ts';

export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string;
  readonly line: number;
  /** `import type` and `export type`: gone before the program runs. */
  readonly typeOnly: boolean;
  /** `import()`: only when that line runs. */
  readonly lazy: boolean;
}

const statement =
  /^[ \t]*(?:import|export)\b(?<head>[^'";=()]*?)\bfrom\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/gm;
const sideEffect = /^[ \t]*import\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/gm;
const dynamic = /\bimport\(\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/g;

/** The imports of a module, by pattern: TypeScript 7 has no parser to call, and every module here is formatted by one tool. */
export function findImports(text: string): Import[] {
  // Comments and text in backticks go first, line by line so that line numbers stay.
  const blank = (part: string): string => part.replaceAll(/[^\n]/g, ' ');
  const code = text
    .replaceAll(/\/\*[\s\S]*?\*\//g, blank)
    .replaceAll(/^[ \t]*\/\/.*$/gm, '')
    .replaceAll(/`(?:[^`\\]|\\[\s\S])*`/g, blank);
  const found: Import[] = [];
  for (const pattern of [statement, sideEffect, dynamic]) {
    for (const match of code.matchAll(pattern)) {
      const { specifier = '', head = '' } = match.groups ?? {};
      found.push({
        specifier,
        line: lineAt(code, match.index + match[0].lastIndexOf(specifier)),
        typeOnly: /^\s+type\s/.test(head),
        lazy: pattern === dynamic,
      });
    }
  }
  return found.toSorted((a, b) => a.line - b.line);
}

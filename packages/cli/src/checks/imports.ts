// SPDX-License-Identifier: Apache-2.0
import { lineAt } from './check.ts';

export interface Import {
  /** What stands between the quotes. */
  readonly specifier: string;
  readonly line: number;
  /** `import type` and `export type`: gone before the program runs. */
  readonly typeOnly: boolean;
}

const statement =
  /^[ \t]*(?:import|export)\b(?<head>[^'";=()]*?)\bfrom\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/gm;
const sideEffect = /^[ \t]*import\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/gm;
const dynamic = /\bimport\(\s*(?<quote>['"])(?<specifier>[^'"\n]+)\k<quote>/g;

/** The imports of a module, by pattern: TypeScript 7 has no parser to call, and every module here is formatted by one tool. */
export function findImports(text: string): Import[] {
  // Comments go first, line by line so that line numbers stay.
  const code = text
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/^[ \t]*\/\/.*$/gm, '');
  const found: Import[] = [];
  for (const pattern of [statement, sideEffect, dynamic]) {
    for (const match of code.matchAll(pattern)) {
      const { specifier = '', head = '' } = match.groups ?? {};
      found.push({
        specifier,
        line: lineAt(code, match.index + match[0].lastIndexOf(specifier)),
        typeOnly: /^\s+type\s/.test(head),
      });
    }
  }
  return found.toSorted((a, b) => a.line - b.line);
}

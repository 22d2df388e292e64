// SPDX-License-Identifier: Apache-2.0
import { type Finding, lineAt, type SourceFile } from './check.ts';
import { findErrorCodes } from './error-codes.ts';

export const cataloguePath = 'docs/reference/errors.md';

const row = /^\| `(?<code>[^`]+)` \|.*$/gm;

/** Holds the published catalogue of error codes against the code, both ways. */
export function checkErrorCatalogue(sources: readonly SourceFile[], page: string): Finding[] {
  const codes = findErrorCodes(sources);
  const listed = new Map(
    [...page.matchAll(row)].map((match) => [match.groups?.['code'] ?? '', lineAt(page, match.index)]),
  );
  const raised = new Set(codes.map(({ code }) => code));
  const missing = codes
    .filter(({ code }) => !listed.has(code))
    .map(({ code, file, line }) => ({
      file,
      line,
      message: `raises '${code}', which ${cataloguePath} lacks`,
    }));
  const stale = [...listed]
    .filter(([code]) => !raised.has(code))
    .map(([code, line]) => ({ file: cataloguePath, line, message: `lists '${code}', which no code raises` }));
  return [...missing, ...stale];
}

/** The page brought up to date: rows that are there stay as somebody wrote them, codes that are new get a row from the code. */
export function updateErrorCatalogue(sources: readonly SourceFile[], page: string): string {
  const known = new Map([...page.matchAll(row)].map((match) => [match.groups?.['code'] ?? '', match[0]]));
  const areas = Map.groupBy(findErrorCodes(sources), ({ code }) => code.split('/')[0] ?? '');
  const tables = [...areas].map(([area, codes]) => {
    const rows = codes.map(
      ({ code, message, remedy }) =>
        known.get(code) ?? `| \`${code}\` | ${message ?? ''} | ${remedy ?? ''} |`,
    );
    return `## ${area}\n\n| code | what happened | what to do |\n|---|---|---|\n${rows.join('\n')}\n`;
  });
  const preface = page.split(/^## /m)[0]?.trimEnd() ?? '';
  return `${preface}\n\n${tables.join('\n')}`;
}

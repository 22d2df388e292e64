// SPDX-License-Identifier: Apache-2.0
import { type Finding, lineAt, type SourceFile } from './check.ts';

export const cataloguePath = 'docs/reference/errors.md';

/**
 * Holds the published catalogue of error codes against the code, both ways. A code is a literal `'area/what'` whose area is a package,
 * or that of some `new MblError('area/…'`; each is one row of a table in the page: `` | `area/what` | meaning | what to do | ``.
 */
export function checkErrorCatalogue(sources: readonly SourceFile[], page: string): Finding[] {
  const product = sources.filter(
    ({ path }) => path.startsWith('packages/') && path.endsWith('.ts') && !path.endsWith('.test.ts'),
  );
  const areas = new Set(
    product.flatMap(({ path, text }) => [
      path.split('/')[1],
      ...[...text.matchAll(/\bMblError\(\s*['"`]([a-z0-9]+)\//g)].map((match) => match[1]),
    ]),
  );
  const raised = new Map<string, Finding>();
  for (const { path, text } of product) {
    for (const match of text.matchAll(
      /(?<quote>['"`])(?<code>(?<area>[a-z0-9]+)\/[a-z0-9]+(?:-[a-z0-9]+)*)\k<quote>/g,
    )) {
      const { code = '', area } = match.groups ?? {};
      if (areas.has(area) && !raised.has(code)) {
        raised.set(code, {
          file: path,
          line: lineAt(text, match.index),
          message: `raises '${code}', which ${cataloguePath} lacks`,
        });
      }
    }
  }
  const listed = new Map<string, number>();
  for (const match of page.matchAll(/^\| `([^`]+)` \|/gm))
    listed.set(match[1] ?? '', lineAt(page, match.index));
  const missing = [...raised].filter(([code]) => !listed.has(code)).map(([, finding]) => finding);
  const stale = [...listed]
    .filter(([code]) => !raised.has(code))
    .map(([code, line]) => ({ file: cataloguePath, line, message: `lists '${code}', which no code raises` }));
  return [...missing, ...stale];
}

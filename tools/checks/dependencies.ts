// SPDX-License-Identifier: Apache-2.0
import type { Manifest } from './arrows.ts';
import type { Finding } from './check.ts';

export const decisionPath = 'docs/decisions/0001-runtime-and-dependencies.md';

/** Every dependency that is not ours has a row, with its reason, in the page of decisions; and the page lists nothing else. */
export function checkDependencies(manifests: ReadonlyMap<string, Manifest>, page: string): Finding[] {
  const used = new Map<string, string>();
  for (const [file, { dependencies, devDependencies, optionalDependencies }] of manifests) {
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      if (!name.startsWith('@mbl/')) used.set(name, file);
    }
  }
  const rows = [...page.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(
    ([, cell = '']) => cell.match(/[^`, ]+/g) ?? [],
  );
  const listed = new Set(rows);
  return [
    ...[...used]
      .filter(([name]) => !listed.has(name))
      .map(([name, file]) => ({
        file,
        message: `depends on '${name}', for which ${decisionPath} gives no reason`,
      })),
    ...[...listed]
      .filter((name) => !used.has(name))
      .map((name) => ({ file: decisionPath, message: `lists '${name}', on which nothing depends` })),
  ];
}

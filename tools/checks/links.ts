// SPDX-License-Identifier: Apache-2.0
import { dirname, join } from 'node:path/posix';
import { type Finding, lineAt, type SourceFile } from './check.ts';

const link = /\]\((?<target>[^)\s]+)\)/g;

/** Every link of a page to something in the working copy leads to something. `exists` takes a path from the root. */
export async function checkLinks(
  pages: readonly SourceFile[],
  exists: (path: string) => Promise<boolean>,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { path, text } of pages) {
    for (const match of text.matchAll(link)) {
      const target = match.groups?.['target'] ?? '';
      if (/^[a-z]+:|^#/.test(target)) continue;
      const file = join(dirname(path), target.replace(/#.*$/, ''));
      if (await exists(file)) continue;
      findings.push({
        file: path,
        line: lineAt(text, match.index),
        message: `links to ${target}, which is not there`,
      });
    }
  }
  return findings;
}

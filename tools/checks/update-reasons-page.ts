// SPDX-License-Identifier: Apache-2.0
import { updateReasons } from '@mbl/formats';
import type { Finding } from './check.ts';

export const updateReasonsPagePath = 'docs/reference/update-reasons.md';

const marker = '<!-- below: written by node tools/write-pages.ts -->';

/** The page's own text, then every reason of an update that does not go on. */
export function renderUpdateReasonsPage(page: string): string {
  const preface = page.split(marker)[0]?.trimEnd() ?? '';
  const rows = Object.entries(updateReasons).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return [preface, '', marker, '', '| reason | what it means |', '|---|---|', ...rows, ''].join('\n');
}

export function checkUpdateReasonsPage(page: string): Finding[] {
  if (renderUpdateReasonsPage(page) === page) return [];
  const message = 'is not what devices say: run node tools/write-pages.ts';
  return [{ file: updateReasonsPagePath, message }];
}

// SPDX-License-Identifier: Apache-2.0
import { eventMeanings, eventTypes } from '@mbl/service';
import type { Finding } from './check.ts';

export const eventsPagePath = 'docs/reference/events.md';

const marker = '<!-- below: written by node tools/write-pages.ts -->';

/** The page's own text, then every type of event. */
export function renderEventsPage(page: string): string {
  const preface = page.split(marker)[0]?.trimEnd() ?? '';
  const rows = Object.entries(eventTypes).map(
    ([type, result]) => `| \`${type}\` | ${result} | ${eventMeanings[type as keyof typeof eventTypes]} |`,
  );
  return [preface, '', marker, '', '| type | filed as | what happened |', '|---|---|---|', ...rows, ''].join(
    '\n',
  );
}

export function checkEventsPage(page: string): Finding[] {
  if (renderEventsPage(page) === page) return [];
  const message = 'is not what the service records: run node tools/write-pages.ts';
  return [{ file: eventsPagePath, message }];
}

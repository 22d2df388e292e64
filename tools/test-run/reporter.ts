// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** What a process of `node --test` leaves for `mbl test` in the file named by MBL_TEST_SUMMARY. */
export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
  /** What was printed of each that failed. */
  failures: string[];
}

type Failed = Extract<TestEvent, { type: 'test:fail' }>['data'];

/**
 * A reporter for `node --test`: one line for each test (MBL_TEST_NAMES=1), failures in full with a place to click on. Loaded by Node in
 * the process of the tests, hence the settings by environment.
 */
async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const names = process.env['MBL_TEST_NAMES'] === '1';
  const summary = process.env['MBL_TEST_SUMMARY'];
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0, failures: [] };
  /** Names of the tests that are open, by nesting: the path of the one that ends. */
  const path: string[] = [];
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      path.length = data.nesting;
      path.push(data.name);
    } else if (type === 'test:pass') {
      const suite = data.details.type === 'suite';
      const skipped = data.skip !== undefined && data.skip !== false;
      if (!suite) counts[skipped ? 'skipped' : 'passed'] += 1;
      if (names) {
        const why = skipped ? `  (skipped${typeof data.skip === 'string' ? `: ${data.skip}` : ''})` : '';
        const time = suite ? '' : `  ${(data.details.duration_ms / 1000).toFixed(1)} s`;
        yield `${'  '.repeat(data.nesting + 1)}${skipped ? '-' : '✔'} ${data.name}${time}${why}\n`;
      }
    } else if (type === 'test:fail') {
      const inherited = isInherited(data);
      if (!inherited && data.details.type !== 'suite') counts.failed += 1;
      if (!inherited && data.details.type === 'suite') counts.failed += 1;
      if (!inherited) {
        const failure = formatFailure([...path.slice(0, data.nesting), data.name], data);
        counts.failures.push(failure);
        yield failure;
      } else if (names) yield `${'  '.repeat(data.nesting + 1)}✘ ${data.name}\n`;
    } else if (type === 'test:stdout' || type === 'test:stderr') {
      yield data.message;
    }
  }
  if (summary !== undefined) writeFileSync(summary, JSON.stringify(counts));
}

/** A parent that failed only because a test within it did. */
function isInherited({ details }: Failed): boolean {
  return 'failureType' in details.error && details.error.failureType === 'subtestsFailed';
}

function formatFailure(path: readonly string[], { file, line, details }: Failed): string {
  const error: unknown = details.error.cause ?? details.error;
  const text = error instanceof Error ? (error.stack ?? inspect(error)) : inspect(error);
  const place =
    file === undefined ? '' : `  (${relative(process.cwd(), file)}${line === undefined ? '' : `:${line}`})`;
  const body = text
    .split('\n')
    .filter((row) => !/^\s+at .*\(?node:internal/.test(row))
    .map((row) => `      ${row}`);
  return `  ✘ ${path.join(' › ')}${place}\n${body.join('\n')}\n`;
}

// Node asks for a default export here.
// oxlint-disable-next-line import/no-default-export
export default report;

// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestCounts } from './reporter.ts';

export interface RunTests {
  /** Working copy; the tests' current folder. */
  readonly root: string;
  readonly files: readonly string[];
  /** Report each test, not only those that fail. */
  readonly names: boolean;
  /** Milliseconds that one test may take. */
  readonly testTimeout: number;
  /** Milliseconds that the process may take; then it is killed. */
  readonly timeout: number;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly onOutput: (text: string) => void;
}

export interface TestResult extends TestCounts {
  /** The process broke off: it crashed, was killed or never came to its summary. */
  readonly broken?: string;
}

/** How long tests may go on cleaning up after the signal before they are killed. */
const grace = 30_000;

/** Runs test files in one process of their own, under `node --test`. Throws the signal's reason when it aborts. */
export async function runTests(options: RunTests): Promise<TestResult> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-test-'));
  const summary = join(folder, 'summary.json');
  try {
    const child = spawn(
      process.execPath,
      [
        '--test',
        '--test-isolation=none',
        `--test-timeout=${options.testTimeout}`,
        `--test-reporter=${join(import.meta.dirname, 'reporter.ts')}`,
        '--test-reporter-destination=stdout',
        ...options.files,
      ],
      {
        cwd: options.root,
        env: {
          ...options.environment,
          MBL_TEST_SUMMARY: summary,
          MBL_TEST_NAMES: options.names ? '1' : '0',
          NODE_TEST_CONTEXT: undefined,
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let killed: string | undefined;
    const deadline = setTimeout(() => {
      killed = `it took more than ${Math.round(options.timeout / 60_000)} minutes`;
      child.kill('SIGKILL');
    }, options.timeout);
    let last: NodeJS.Timeout | undefined;
    const stop = () => {
      child.kill('SIGTERM');
      last = setTimeout(() => child.kill('SIGKILL'), grace);
    };
    options.signal.addEventListener('abort', stop, { once: true });
    if (options.signal.aborted) stop();
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', options.onOutput);
    const ended = await new Promise<string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve(signal === null ? `exit code ${code}` : signal));
    }).finally(() => {
      clearTimeout(deadline);
      clearTimeout(last);
      options.signal.removeEventListener('abort', stop);
    });
    options.signal.throwIfAborted();
    const counts = await readFile(summary, 'utf8').then(
      (text) => JSON.parse(text) as TestCounts,
      () => undefined,
    );
    if (counts === undefined)
      return {
        passed: 0,
        failed: 1,
        skipped: 0,
        failures: [],
        broken: killed ?? `the process ended early (${ended})`,
      };
    if (ended !== 'exit code 0' && counts.failed === 0) {
      return { ...counts, failed: 1, broken: killed ?? `no test failed, but the process did (${ended})` };
    }
    return counts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// SPDX-License-Identifier: Apache-2.0
import { availableParallelism, cpus } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Cli, formatDuration, toolPath } from '@mbl/cli';
import { repositoryChecks } from '../checks/run-checks.ts';
import { longestFirst, storyLanes } from './lanes.ts';
import { prepareStories } from './prepare.ts';
import { runTests, type TestResult } from './run-tests.ts';
import type { Selection, Suite } from './select.ts';

const minute = 60_000;

interface SuiteOptions {
  /** Print each test, not only those that fail. */
  readonly names: boolean;
  /** Milliseconds that a test, and all of them, may take. */
  readonly testTimeout: number;
  readonly timeout: number;
  /** Print what it says as it comes, not when it ends. */
  readonly live: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A run of `mbl test`: it checks the sources, runs the tests, and counts. The last line of stdout is `N passed, N failed`. */
export class TestRun {
  readonly #cli: Cli;
  readonly #verbose: boolean;
  #environment: Readonly<Record<string, string | undefined>> = {};
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  /** What to give to `mbl test` to run only the parts that failed. */
  readonly #again = new Set<string>();
  /** What was printed of each test that failed: said again at the end, where it is found. */
  readonly #failures: string[] = [];

  constructor(cli: Cli, verbose: boolean) {
    this.#cli = cli;
    this.#verbose = verbose;
  }

  /** Runs what is selected; returns the exit code. */
  async all({ checks, units, stories }: Selection): Promise<number> {
    const { output } = this.#cli;
    if (checks) await this.#checks();
    if (units.length + stories.length > 0) this.#environment = await this.#tools();
    await this.#units(units);
    if (stories.length > 0) await this.#stories(stories);
    output.line();
    for (const failure of this.#failures) output.raw(failure);
    if (this.#again.size > 0) output.line(`Only what failed: ./mbl test ${[...this.#again].join(' ')}`);
    if (this.#skipped > 0) output.line(`${this.#skipped} skipped`);
    output.line(`${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 ? 0 : 1;
  }

  /**
   * The environment of tests: emulator, database and what packs images from the toolboxes, before the machine's; the compilers behind it,
   * for a machine that has none.
   */
  async #tools(): Promise<Record<string, string | undefined>> {
    const cli = this.#cli;
    const bin = join(cli.workspace.root, 'node_modules/.bin');
    const own = cli.environment['PATH'] ?? '';
    const first = [...(await toolPath(cli, 'run')), ...(await toolPath(cli, 'image'))];
    const last = await toolPath(cli, 'compile');
    return { ...cli.environment, PATH: [bin, ...first, own, ...last].join(delimiter) };
  }

  async #checks(): Promise<void> {
    const { output, workspace, signal } = this.#cli;
    for (const check of repositoryChecks(workspace.root)) {
      const start = performance.now();
      const findings = await output.progress.phase(
        check.title,
        () => check.run(signal),
        () => ({ quiet: true }),
      );
      signal.throwIfAborted();
      this.#report(check.title, findings.length === 0, performance.now() - start);
      for (const finding of findings) output.line(`  ${finding}`);
      if (findings.length === 0) this.#passed += 1;
      else this.#failed += 1;
      if (findings.length > 0) this.#again.add('unit');
    }
  }

  /** The packages' tests, one package more at once than the machine has cores: half of what some of them do is to wait. */
  async #units(suites: readonly Suite[]): Promise<void> {
    if (suites.length === 0) return;
    const queue = longestFirst(suites);
    const worker = () => queue.shift();
    const workers = Array<typeof worker>(Math.min(4, availableParallelism() + 1)).fill(worker);
    await this.#atOnce('unit tests', suites.length, workers, {
      names: this.#verbose,
      testTimeout: 2 * minute,
      timeout: 10 * minute,
      live: false,
    });
  }

  /** The stories, two at once: a board that boots uses little more than a core, and a story waits much of its time. */
  async #stories(suites: readonly Suite[]): Promise<void> {
    const environment = await prepareStories(this.#cli);
    const options = { names: true, testTimeout: 20 * minute, timeout: 60 * minute, environment };
    const [only] = suites;
    if (suites.length === 1 && only !== undefined) {
      this.#cli.output.line(only.name);
      await this.#suite(only, { ...options, live: true });
      return;
    }
    const { building, booting } = storyLanes(suites);
    const workers = [() => building.shift() ?? booting.shift(), () => booting.shift()];
    const before = processorTimes();
    await this.#atOnce('stories', suites.length, workers, { ...options, live: false });
    const { busy, all } = processorTimes();
    // Where this is far from 100, a lane more would end sooner.
    const share = Math.round((100 * (busy - before.busy)) / Math.max(1, all - before.all));
    this.#cli.output.line(`The processors were busy for ${share} % of the stories' time.`);
  }

  /** Runs suites until no worker gets another one; each worker runs one at a time. */
  async #atOnce(
    title: string,
    count: number,
    workers: readonly (() => Suite | undefined)[],
    options: SuiteOptions,
  ): Promise<void> {
    const running = new Set<string>();
    let ended = 0;
    await this.#cli.output.progress.phase(
      title,
      async (report) => {
        const work = async (next: () => Suite | undefined) => {
          for (let suite = next(); suite !== undefined; suite = next()) {
            running.add(suite.name);
            report(ended / count, [...running].join(' '));
            await this.#suite(suite, options);
            running.delete(suite.name);
            ended += 1;
          }
        };
        await Promise.all(workers.map(work));
      },
      () => ({ quiet: true }),
    );
  }

  async #suite(suite: Suite, options: SuiteOptions): Promise<void> {
    const { output, workspace, signal } = this.#cli;
    const start = performance.now();
    let held = '';
    const result: TestResult = await runTests({
      root: workspace.root,
      files: suite.files,
      names: options.names,
      testTimeout: options.testTimeout,
      timeout: options.timeout,
      environment: { ...this.#environment, ...options.environment },
      signal,
      onOutput: (text) => {
        if (options.live) output.raw(text);
        else held += text;
      },
    });
    this.#passed += result.passed;
    this.#failed += result.failed;
    this.#skipped += result.skipped;
    for (const failure of result.failures) this.#failures.push(`${suite.name}\n${failure}`);
    if (result.broken !== undefined) this.#failures.push(`${suite.name}\n  ${result.broken}\n`);
    if (result.failed > 0) this.#again.add(suite.name);
    const counts = `${result.passed} passed${result.failed > 0 ? `, ${result.failed} failed` : ''}`;
    output.progress.interrupt(() => {
      this.#report(suite.name, result.failed === 0, performance.now() - start, counts);
      if (result.broken !== undefined) output.line(`  ${result.broken}`);
      if (held !== '' && (result.failed > 0 || options.names)) output.raw(held);
    });
  }

  #report(title: string, passed: boolean, milliseconds: number, counts?: string): void {
    const { output } = this.#cli;
    const mark = passed ? output.style('green', '✔') : output.style('red', '✘');
    const facts = [counts, formatDuration(milliseconds)].filter((fact) => fact !== undefined).join(', ');
    output.line(`${mark} ${title}  ${output.style('dim', facts)}`);
  }
}

/** Milliseconds of all processors since the machine started. */
function processorTimes(): { busy: number; all: number } {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq;
    all += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { busy, all };
}

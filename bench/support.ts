// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..');

/** One line of a bench: what was measured, beside what it may be. `budget` absent: for comparison only. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: 's' | 'ms' | 'MB' | 'kB' | '%' | '/s' | '';
  readonly budget?: number;
}

/** Prints the rows; the process ends with exit code 1 when a budget is broken, of these or of others. */
export function report(rows: readonly Row[]): void {
  for (const { name, value, unit, budget } of rows) {
    const verdict =
      budget === undefined
        ? ''
        : value <= budget
          ? `budget ${Number(budget.toFixed(1))} ${unit}`
          : `BROKEN: budget ${Number(budget.toFixed(1))} ${unit}`;
    console.log(`${value.toFixed(1).padStart(8)} ${unit.padEnd(2)}  ${name.padEnd(58)} ${verdict}`);
  }
  if (!rows.every(({ value, budget }) => budget === undefined || value <= budget)) process.exitCode = 1;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export interface Run {
  readonly seconds: number;
  readonly stdout: string;
}

/** Runs a program to its end; its complaints go to the terminal. Throws when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Run> {
  const begin = performance.now();
  const child = spawn(command, args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${stdout}`);
  return { seconds: (performance.now() - begin) / 1000, stdout };
}

/** A folder that is gone when it is disposed. */
export async function scratch(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'mbl-bench-'));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

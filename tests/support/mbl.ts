// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** The working copy. */
export const root = resolve(import.meta.dirname, '../..');

export interface MblResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface MblOptions {
  /** Over the environment of the tests; undefined removes a variable. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds; then the process is killed and `code` is null. */
  readonly timeout?: number;
}

/** Starts `./mbl` as a person would; without a terminal, and with nothing to read unless `stdin` is a pipe. */
export function startMbl(
  args: readonly string[],
  options: MblOptions & { readonly stdin?: 'ignore' | 'pipe' } = {},
): ChildProcess {
  return spawn(join(root, 'mbl'), args, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.environment },
    stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
  });
}

/** Runs `./mbl` to its end. */
export async function mbl(args: readonly string[], options: MblOptions = {}): Promise<MblResult> {
  return await finish(startMbl(args, options), options.timeout ?? 60_000);
}

/** Waits for a process that was started with pipes. */
export async function finish(child: ChildProcess, timeout: number): Promise<MblResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  const code = await new Promise<number | null>((done, fail) => {
    child.once('error', fail);
    child.once('close', done);
  });
  clearTimeout(timer);
  return { code, stdout, stderr };
}

/** The JSON that a command printed; fails when the command did. */
export async function mblJson<T>(args: readonly string[], options: MblOptions = {}): Promise<T> {
  const { code, stdout, stderr } = await mbl([...args, '--json'], options);
  assert.equal(code, 0, `mbl ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** Asserts that a command ends as an error should: exit code 1, one clear error of this code, a remedy, no stack. */
export function assertError({ code, stdout, stderr }: MblResult, expected: string, message: RegExp): void {
  assert.equal(code, 1, `exit code; ${stdout}${stderr}`);
  assert.match(stderr, new RegExp(`^error \\[${expected}\\] `, 'm'));
  assert.match(stderr, message);
  assert.match(stderr, new RegExp(`error \\[${expected}\\][\\s\\S]*\\n  \\S`), 'a remedy follows');
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m, 'no stack');
  assert.equal(stderr.match(/^error /gm)?.length, 1, 'one error');
}

/** A folder that is removed when it is disposed, for a state of the workbench apart from the person's own (MBL_STATE). */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'mbl-story-'));
  // The database server is another user, who has to pass through.
  await chmod(path, 0o711);
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MblError } from '@mbl/trust';

/** A process that outlives the number: a pid is reused, a pid with its start time is not. */
export interface ProcessId {
  readonly pid: number;
  /** Clock ticks since the host's boot (proc(5), `starttime`). */
  readonly startTicks: number;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Names a running process, or undefined when it is gone (a zombie counts as gone). */
export function identifyProcess(pid: number): ProcessId | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in parentheses may hold anything, so count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startTicks: Number(fields[19]) };
  } catch {
    return undefined;
  }
}

export function isAlive(process: ProcessId): boolean {
  return identifyProcess(process.pid)?.startTicks === process.startTicks;
}

/** Sends a signal unless the process is gone. */
export function sendSignal(process_: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(process_)) return;
  try {
    process.kill(process_.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Waits, or throws the signal's reason as soon as it aborts. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch((error: unknown) => {
    throw signal?.reason ?? error;
  });
}

/** True when the process ended within the time. */
export async function waitForExit(
  process: ProcessId,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (isAlive(process)) {
    if (Date.now() >= deadline) return false;
    await pause(10, signal);
  }
  return true;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly input?: string | Uint8Array;
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** The Debian package that brings the tool, for the message when it is missing. */
  readonly debianPackage: string;
}

/**
 * The caller's environment without what makes the loader and the C library take files of the machine: programs that bring their own
 * libraries (the emulator, mkfs.erofs) do not fit them.
 */
export function environmentOfTools(): NodeJS.ProcessEnv {
  const foreign = /^(LD_|GCONV_PATH$|LOCPATH$|QEMU_MODULE_DIR$)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

const maximumOutput = 16 * 1024 * 1024;

/** Runs a tool to its end. A signal's end is code 128 + n as in a shell's `$?`; a missing tool is `lab/tool-missing`. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { timeoutMs = 60_000, signal, input, env } = options;
  signal?.throwIfAborted();
  const deadline = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const outputs = [collect(child.stdout), collect(child.stderr)];
  const stop = (): boolean => child.kill('SIGKILL');
  deadline.addEventListener('abort', stop);
  signal?.addEventListener('abort', stop);
  // A tool that does not read its input is no error of ours.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', (cause: NodeJS.ErrnoException) => {
        reject(cause.code === 'ENOENT' ? toolMissing(command, options.debianPackage, cause) : cause);
      });
      child.on('close', (exitCode, signalName) =>
        resolve(exitCode ?? (signalName === 'SIGKILL' ? 137 : 128)),
      );
    });
    signal?.throwIfAborted();
    if (deadline.aborted) {
      throw new MblError('lab/deadline', `${command} did not end within ${timeoutMs / 1000} s.`, {
        details: { command, args },
      });
    }
    return { code, stdout: outputs[0]?.() ?? '', stderr: outputs[1]?.() ?? '' };
  } finally {
    deadline.removeEventListener('abort', stop);
    signal?.removeEventListener('abort', stop);
  }
}

/** The error for a tool that is not on PATH. */
export function toolMissing(command: string, debianPackage: string, cause?: unknown): MblError {
  return new MblError('lab/tool-missing', `${command} is not installed.`, {
    remedy: `Install it with: apt-get install ${debianPackage}`,
    cause,
    details: { command, debianPackage },
  });
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    // What is over the bound is read and dropped, so that the tool does not block.
    if (size < maximumOutput) chunks.push(chunk.subarray(0, maximumOutput - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString('utf8');
}

// SPDX-License-Identifier: Apache-2.0
import { type Cli, exitCodes } from './cli.ts';
import type { Output } from './output.ts';

/** What a failure shows to a person and, with `--json`, to a program. */
export interface Failure {
  code: string;
  message: string;
  remedy?: string;
  details?: Record<string, unknown>;
}

interface Coded {
  code: string;
  message: string;
  remedy?: unknown;
  details?: unknown;
}

/** Errors that this project throws on purpose carry an `area/what` code; everything else is a defect or the machine's own error. */
function isCoded(error: unknown): error is Coded {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[a-z0-9-]+\/[a-z0-9-]+$/.test(error.code)
  );
}

/** System errors that a person can do something about, whichever verb meets them. */
const systemRemedies: Readonly<Record<string, [code: string, remedy: string]>> = {
  ENOSPC: [
    'cli/disk-full',
    'Free some space (./mbl doctor says how much is needed), then run the same command again.',
  ],
  EDQUOT: [
    'cli/disk-full',
    'Free some space (./mbl doctor says how much is needed), then run the same command again.',
  ],
  EACCES: ['cli/permission-denied', 'Make it accessible to this user, then run the same command again.'],
  EROFS: ['cli/permission-denied', 'Use a working copy and a cache (MBL_CACHE) that can be written to.'],
  EADDRINUSE: ['cli/address-in-use', 'Find what uses the port with: ss -ltnp'],
  EMFILE: ['cli/too-many-files', 'Raise the limit of open files: ulimit -n 4096'],
};

export function toFailure(error: unknown): Failure {
  if (isCoded(error)) {
    return {
      code: error.code,
      message: error.message,
      ...(typeof error.remedy === 'string' ? { remedy: error.remedy } : {}),
      ...(typeof error.details === 'object' && error.details !== null
        ? { details: { ...error.details } }
        : {}),
    };
  }
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const system = 'code' in cause && typeof cause.code === 'string' ? systemRemedies[cause.code] : undefined;
    if (system !== undefined) return { code: system[0], message: cause.message, remedy: system[1] };
  }
  return {
    code: 'cli/internal',
    message: error instanceof Error ? error.message : String(error),
    remedy: 'This is a defect of mbl: run again with MBL_DEBUG=1 and report what it prints.',
  };
}

/** Says why a verb ended early, an interruption or an error, and returns the exit code. */
export function endWithFailure({ output, signal, environment }: Cli, error: unknown): number {
  if (!signal.aborted) {
    printFailure(output, error, Boolean(environment['MBL_DEBUG']));
    return exitCodes.failure;
  }
  const terminated = signal.reason === 'SIGTERM';
  output.error(terminated ? 'stopped' : 'interrupted; the same command continues from here');
  return terminated ? exitCodes.terminated : exitCodes.interrupted;
}

/** Prints what went wrong and what to do; with MBL_DEBUG also where, cause by cause. */
export function printFailure(output: Output, error: unknown, debug: boolean): void {
  const failure = toFailure(error);
  if (output.json) {
    output.error(JSON.stringify({ error: failure }));
  } else {
    output.error(
      `${output.errorStyle('red', 'error')} ${output.errorStyle('dim', `[${failure.code}]`)} ${failure.message}`,
    );
    if (failure.remedy !== undefined) output.error(`  ${failure.remedy}`);
  }
  if (!debug) return;
  for (
    let cause: unknown = error;
    cause !== undefined;
    cause = cause instanceof Error ? cause.cause : undefined
  ) {
    output.error(cause instanceof Error ? (cause.stack ?? cause.message) : JSON.stringify(cause));
  }
}

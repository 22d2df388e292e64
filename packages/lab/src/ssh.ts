// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { type CommandResult, pause, runCommand } from './processes.ts';

export interface SshTarget {
  readonly boardName: string;
  readonly user: string;
  /** Path of the private key. */
  readonly key: string;
  /** Port at 127.0.0.1. */
  readonly port: number;
  /** Socket of the shared connection: a handshake costs seconds of an emulated CPU, so commands share one. */
  readonly controlPath: string;
}

export interface SshOptions {
  /** For connecting and running together; default 60 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly input?: string | Uint8Array;
}

const debianPackage = 'openssh-client';

/** The arguments of `ssh` for this board, for a command line of its own (an interactive shell, a port forward). */
export function sshArguments(target: SshTarget): string[] {
  const options = [
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    `ControlPath=${target.controlPath}`,
    // A board is known by its port on this host; its host key is new with every board.
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'GlobalKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    'ConnectTimeout=30',
    'ServerAliveInterval=10',
    'ServerAliveCountMax=3',
  ];
  return [
    ...['-F', 'none', '-i', target.key, '-p', String(target.port)],
    ...options.flatMap((option) => ['-o', option]),
    `${target.user}@127.0.0.1`,
  ];
}

/**
 * Runs a command in the guest's shell, connecting (again and again until the deadline: the guest may still be starting) when no
 * connection is open. Errors: `lab/deadline`, `lab/ssh-refused` (the guest does not take the key), `lab/tool-missing`.
 */
export async function runSsh(
  target: SshTarget,
  command: string,
  isLive: () => boolean,
  options: SshOptions = {},
): Promise<CommandResult> {
  const { timeoutMs = 60_000, signal, input } = options;
  const deadline = Date.now() + timeoutMs;
  await openConnection(target, isLive, deadline, signal);
  return await ssh(target, [...sshArguments(target), '--', command], `the end of \`${command}\``, {
    timeoutMs: Math.max(1, deadline - Date.now()),
    signal,
    ...(input === undefined ? {} : { input }),
  });
}

/** Runs `ssh`; a deadline is told in the words of what was waited for. */
async function ssh(
  target: SshTarget,
  args: readonly string[],
  waitedFor: string,
  options: SshOptions,
): Promise<CommandResult> {
  return await runCommand('ssh', args, { ...options, debianPackage }).catch((error: unknown) => {
    if (!(error instanceof MblError) || error.code !== 'lab/deadline') throw error;
    throw new MblError('lab/deadline', `Board ${target.boardName} did not come to ${waitedFor} in time.`, {
      remedy: 'See how far it came with: ./mbl logs serial',
      cause: error,
    });
  });
}

async function openConnection(
  target: SshTarget,
  isLive: () => boolean,
  deadline: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  if ((await control(target, 'check')).code === 0) return;
  for (;;) {
    const timeoutMs = Math.max(1, deadline - Date.now());
    // -f: in the background once authenticated; the process ends when the emulator closes the connection.
    const args = ['-M', '-N', '-f', ...sshArguments(target)];
    const result = await ssh(target, args, 'an SSH connection', { timeoutMs, signal });
    if (result.code === 0) return;
    const reason = result.stderr.trim().split('\n').at(-1) ?? '';
    if (/Permission denied/.test(reason)) {
      throw new MblError(
        'lab/ssh-refused',
        `Board ${target.boardName} does not take the key ${target.key}: ${reason}`,
        {
          remedy:
            'Only the development image takes keys from the factory partition; build it with: ./mbl build',
        },
      );
    }
    if (!isLive()) throw new MblError('lab/board-stopped', `Board ${target.boardName} stopped.`);
    if (Date.now() + 500 >= deadline) {
      throw new MblError(
        'lab/deadline',
        `Board ${target.boardName} took no SSH connection in time: ${reason}`,
        {
          remedy: 'See how far it came with: ./mbl logs serial',
        },
      );
    }
    await pause(500, signal);
  }
}

/** Drops the shared connection: a guest that was reset does not know it any more. */
export async function closeSsh(target: SshTarget): Promise<void> {
  await control(target, 'exit');
}

async function control(target: SshTarget, word: 'check' | 'exit'): Promise<CommandResult> {
  return await runCommand('ssh', ['-O', word, ...sshArguments(target)], { timeoutMs: 10_000, debianPackage });
}

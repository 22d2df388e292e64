// SPDX-License-Identifier: Apache-2.0
import type { AppReason, AppStatus } from '@mbl/formats';

/** What the system manager says of a service (org.freedesktop.systemd1(5)). */
export interface UnitState {
  readonly activeState: string;
  readonly subState: string;
  /** Milliseconds since 1970 in which it is in this state; 0 without one. */
  readonly since: number;
  /** How it ended last: `success`, `exit-code`, `signal`, `oom-kill` … */
  readonly result: string;
  readonly restarts: number;
  /** Bytes; 0 where nobody counts. */
  readonly memory: number;
  /** How the main process ended (`CLD_EXITED` is 1), and its status or signal. */
  readonly code: number;
  readonly status: number;
}

/** Asks the system manager. */
export interface Units {
  /** Undefined where it does not answer. */
  read(unit: string): Promise<UnitState | undefined>;
}

export const unitOfApp = (app: string): string => `mbl-app-${app}.service`;

/** What of an app's status follows from its unit. */
export function appStateOf(
  unit: UnitState,
): Pick<AppStatus, 'state' | 'since' | 'restarts' | 'memory' | 'reason' | 'detail'> {
  const { activeState, subState, since, restarts, memory } = unit;
  const ended = endOf(unit);
  const live = { since, restarts, memory };
  switch (activeState) {
    case 'active':
    case 'reloading':
      // Why it was started again is worth knowing while it runs.
      return { ...live, state: 'running', reason: '', detail: '' };
    case 'activating':
      return subState.startsWith('auto-restart')
        ? { ...live, state: 'restarting', ...ended }
        : { ...live, state: 'starting', reason: '', detail: '' };
    case 'failed':
      return { ...live, state: 'failed', ...ended };
    default:
      return { ...live, state: 'stopped', reason: '', detail: '' };
  }
}

const exited = 1;

function endOf({ result, code, status }: UnitState): { reason: AppReason | ''; detail: string } {
  switch (result) {
    case 'success':
      return { reason: '', detail: '' };
    case 'oom-kill':
      return { reason: 'app/out-of-memory', detail: 'it needed more memory than its limit' };
    case 'exit-code':
      return code === exited || code === 0
        ? { reason: 'app/ended', detail: `the program ended with status ${status}` }
        : { reason: 'app/killed', detail: `signal ${status} ended the program` };
    case 'signal':
    case 'core-dump':
      return { reason: 'app/killed', detail: `signal ${status} ended the program` };
    case 'start-limit-hit':
      return { reason: 'app/ended', detail: 'it ended as often as it may be started again' };
    case 'timeout':
      return { reason: 'app/did-not-start', detail: 'it did not start, or did not stop, in its time' };
    default:
      return { reason: 'app/did-not-start', detail: `the system manager says: ${result}` };
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// Judges a slot on trial: docs/decisions/0020. One that does not become healthy in time gives way to the slot that ran before.
import { parseArgs } from 'node:util';
import { readText } from '@mbl/formats';
import { orderSocket } from '../common/order.ts';
import { runProgram } from '../common/run.ts';
import type { FirmwareBanks } from '../firmware/banks.ts';
import { nativeBanks, nativeHelper } from '../firmware/native-banks.ts';
import { endFirmwareTrial, firmwareFault } from '../firmware/release.ts';
import { parseBoot } from '../platform/board.ts';
import { changeBootState, readBootState, rejected } from '../slots/boot-state.ts';
import { otherThanJudged } from '../slots/running-root.ts';
import { type Trial, TrialStore } from '../slots/trial.ts';
import { becomesHealthy, hasNetwork, type HealthOptions, whyNotRegistered } from './health.ts';

export interface VerdictOptions extends Omit<HealthOptions, 'reached' | 'unreached'> {
  /** A file that is there while the device is registered with its service. */
  readonly registered: string;
  /** Whether the board has an address. */
  readonly online: () => boolean;
  /** The socket that is there while its client takes orders at the board. */
  readonly orders: string;
  /** Folder of what is known of updates. */
  readonly update: string;
  /** How the board was started: lines like `slot=a`. */
  readonly boot: string;
  /** The partition of the boot state. */
  readonly state: string;
  /** Where `/sys` is. */
  readonly root: string;
  readonly banks: FirmwareBanks;
}

/** True: healthy, or no trial. False: the other slot starts first from now on, and the board is to restart. */
export async function judgeTrial(options: VerdictOptions): Promise<boolean> {
  const { say } = options;
  const store = new TrialStore(options.update);
  const [trial, boot] = [await store.trial(), parseBoot((await readText(options.boot, 4096)) ?? '')];
  if (trial === undefined) return true;
  const { tried } = await readBootState(options.state);
  if (tried !== trial.slot) return true;
  say(`slot ${trial.slot} is on trial with ${trial.release}, start ${boot.attempts}`);
  const fault =
    boot.slot === tried
      ? ((await otherThanJudged(trial, options.root)) ??
        (await faultOfFirmware(options.banks, trial)) ??
        (await becomesHealthy({ ...options, ...reachOf(options, trial) })))
      : `its kernel runs with the root of slot ${boot.slot}: its own cannot be opened`;
  if (fault === undefined) {
    say(`slot ${trial.slot} is healthy`);
    return true;
  }
  say(`slot ${trial.slot} goes back: ${fault}`);
  // On a disk that is full the reason is lost, the way back is not.
  await store
    .noteFailure(fault)
    .catch((error: unknown) => say(`the reason cannot be kept: ${String(error)}`));
  await changeBootState(options.state, (state) => rejected(state, trial.slot));
  // Where this fails, mbl-good-boot of the other slot sends it back.
  if (trial.firmware !== undefined) await endFirmwareTrial(options.banks).catch(() => undefined);
  return false;
}

async function faultOfFirmware(banks: FirmwareBanks, { firmware }: Trial): Promise<string | undefined> {
  return firmware === undefined
    ? undefined
    : await firmwareFault(banks, firmware).catch((error: unknown) =>
        error instanceof Error ? error.message : String(error),
      );
}

/**
 * The next version has to have a way to come: from the service, or, where it was no way for this one either, by hand. Both are open only
 * while the platform service answers.
 */
function reachOf(
  { run, registered, orders, online }: VerdictOptions,
  { unregistered }: Trial,
): Pick<HealthOptions, 'reached' | 'unreached'> {
  const silent = 'the client takes no orders at the board, or its platform service does not answer';
  if (unregistered === true) return { reached: orders, unreached: () => Promise.resolve(silent) };
  return { reached: registered, unreached: () => whyNotRegistered(run, online) };
}

/** Seconds. */
const usualLimit = 600;

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      update: { type: 'string', default: '/config/update' },
      boot: { type: 'string', default: '/run/mbl/boot' },
      state: { type: 'string', default: '/run/mbl/disk/state' },
      root: { type: 'string', default: '/' },
      registered: { type: 'string', default: '/run/mbl-cloud-client/registered' },
      orders: { type: 'string', default: orderSocket },
      releaseRoot: { type: 'string', default: '/etc/mbl/releases/root.json' },
      checks: { type: 'string', default: '/etc/mbl/health.d' },
      native: { type: 'string', default: nativeHelper },
      limit: { type: 'string', default: process.env['MBL_HEALTH_LIMIT'] ?? String(usualLimit) },
    },
  });
  const healthy = await judgeTrial({
    ...values,
    limitMs: (Number(values.limit) > 0 ? Number(values.limit) : usualLimit) * 1000,
    pauseMs: 5000,
    online: hasNetwork,
    run: runProgram,
    banks: nativeBanks(values.native),
    // Level "error", so that a quiet console shows it too.
    say: (line) => void process.stdout.write(`<3>mbl-health: ${line}\n`),
  });
  // At once: a check that was ended may have left something behind that holds its output open.
  process.exit(healthy ? 0 : 1);
}

// SPDX-License-Identifier: Apache-2.0
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isUpdateReason,
  type JsonRecord,
  readRecord,
  readText,
  type Slot,
  type UpdateReason,
} from '@mbl/formats';
import { isErrno, writeAtomic } from '../common/files.ts';

/** A version that was installed and has to prove itself: docs/decisions/0020. */
export interface Trial {
  readonly slot: Slot;
  /** The release that brought it. */
  readonly release: string;
  readonly rollbackIndex: number;
  /** Of the root that was judged. */
  readonly rootHash: string;
  /**
   * Somebody at the board ordered it while the device was not registered: that it is not registered afterwards says nothing against it.
   */
  readonly unregistered?: boolean;
  /** Absent where the boot firmware stays. */
  readonly firmware?: TrialFirmware;
}

/** The boot firmware that came with a version, and is on trial with it. */
export interface TrialFirmware {
  readonly bank: Slot;
  /** SHA-256 of what was put into the bank, 64 hex digits. */
  readonly sha256: string;
}

/** The version that a signed release gives a boot firmware, by its digest. */
export interface KnownFirmware {
  readonly version: string;
  readonly sha256: string;
}

/** Older ones are in no bank. */
const mostKnown = 4;

/** How the last trial ended. */
export interface Outcome {
  readonly release: string;
  readonly result: 'confirmed' | 'fell-back';
  /** Empty where nothing went wrong, as `detail` is then. */
  readonly reason: UpdateReason | '';
  /** One sentence. */
  readonly detail: string;
}

function readFirmware(json: JsonRecord): TrialFirmware {
  return { bank: json.string('bank', slotName) as Slot, sha256: json.string('sha256', /^[0-9a-f]{64}$/) };
}

/** Bytes of a file of trials. */
export const maxTrialBytes = 4096;
const slotName = /^[ab]$/;

/** Throws what `readRecord` throws. */
function readTrial(json: JsonRecord): Trial {
  return {
    slot: json.string('slot', slotName) as Slot,
    release: json.string('release'),
    rollbackIndex: json.integer('rollbackIndex'),
    rootHash: json.string('rootHash', /^[0-9a-f]{64}$/),
    ...(json.is('firmware', undefined) ? {} : { firmware: readFirmware(json.object('firmware')) }),
    unregistered: json.is('unregistered', true),
  };
}

/** The trial that the text of `trial.json` tells of; undefined where it is damaged. */
export function parseTrial(text: string): Trial | undefined {
  return lenient(text, 'trial.json', readTrial);
}

function lenient<T>(text: string, path: string, take: (json: JsonRecord) => T): T | undefined {
  try {
    return take(readRecord(text, { path, code: 'device/bad-trial', most: maxTrialBytes }));
  } catch {
    return undefined;
  }
}

/**
 * What is known of trials, in files of a folder that a power cut leaves whole. Nobody signs it: what is damaged counts as not there, and a
 * slot that is not known to be on trial is judged like any other.
 */
export class TrialStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async trial(): Promise<Trial | undefined> {
    return await this.#read('trial.json', readTrial);
  }

  async beginTrial(trial: Trial): Promise<void> {
    // What the last trial said must not be taken for what this one says.
    await this.#remove('failure.json');
    await this.#write('trial.json', trial);
  }

  /** Keeps why the slot on trial is no good, before the board goes back. */
  async noteFailure(detail: string): Promise<void> {
    await this.#write('failure.json', { detail: detail.slice(0, 200) });
  }

  async failure(): Promise<string | undefined> {
    return await this.#read('failure.json', (json) => json.string('detail'));
  }

  async outcome(): Promise<Outcome | undefined> {
    return await this.#read('outcome.json', (json) => {
      const release = json.string('release');
      if (json.is('result', 'confirmed')) return { release, result: 'confirmed', reason: '', detail: '' };
      const reason = json.string('reason');
      return {
        release,
        result: 'fell-back',
        reason: isUpdateReason(reason) ? reason : 'update/failed',
        detail: json.string('detail'),
      };
    });
  }

  async endTrial(outcome: Outcome): Promise<void> {
    await this.#write('outcome.json', outcome);
    await this.#remove('trial.json');
    await this.#remove('failure.json');
  }

  /** The highest rollback index of a release that proved good; 0 before the first. */
  async acceptedIndex(): Promise<number> {
    return (await this.#read('accepted.json', (json) => json.integer('rollbackIndex'))) ?? 0;
  }

  /** The newest first. */
  async knownFirmware(): Promise<readonly KnownFirmware[]> {
    const known = await this.#read('firmware.json', (json) =>
      json.objects('known', mostKnown).map((one) => ({
        version: one.string('version'),
        sha256: one.string('sha256', /^[0-9a-f]{64}$/),
      })),
    );
    return known ?? [];
  }

  async noteFirmware({ version, sha256 }: KnownFirmware): Promise<void> {
    const before = await this.knownFirmware();
    if (before[0]?.version === version && before[0].sha256 === sha256) return;
    const others = before.filter((one) => one.sha256 !== sha256);
    await this.#write('firmware.json', { known: [{ version, sha256 }, ...others].slice(0, mostKnown) });
  }

  async accept(rollbackIndex: number): Promise<void> {
    if (rollbackIndex > (await this.acceptedIndex())) await this.#write('accepted.json', { rollbackIndex });
  }

  async #read<T>(name: string, take: (json: JsonRecord) => T): Promise<T | undefined> {
    const path = join(this.#folder, name);
    const text = await readText(path, maxTrialBytes).catch(() => undefined);
    return text === undefined ? undefined : lenient(text, path, take);
  }

  async #write(name: string, content: object): Promise<void> {
    await writeAtomic(join(this.#folder, name), `${JSON.stringify({ version: 1, ...content })}\n`, 0o644);
  }

  async #remove(name: string): Promise<void> {
    await unlink(join(this.#folder, name)).catch((cause: unknown) => {
      if (!isErrno(cause, 'ENOENT')) throw cause;
    });
  }
}

// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { FirmwareBanks } from '@mbl/device';
import type { Extent, FirmwareCounters, Slot } from '@mbl/formats';
import type { BoardImage } from '@mbl/lab';
import { MblError, type TbbrCounters } from '@mbl/trust';
import { compileForHost } from './host-compiler.ts';
import { root } from './mbl.ts';

const source = join(root, 'os/firmware/trusted-firmware/mbl_qemu');
/** All that decides on the flash: of BL1 and BL2 (which bank, refusals, counters), and of BL31. */
const files = [
  'firmware_state',
  'boot_choice',
  'refusal',
  'trusted_boot',
  'flash',
  'idle_bank',
  'firmware_update',
];
const headers = ['boot_choice', 'firmware_state', 'flash', 'idle_bank', 'sip'];
const own = join(import.meta.dirname, 'bank-choice');

/** os/firmware/include/mbl_firmware_update.h */
const calls = { status: 0, counter: 1, osStarts: 2, confirm: 3, try: 4, reject: 6, copy: 8 } as const;
const firstCall = 0xc200_4d00;
const [denied, statusTrial, statusConfirmed] = [-3, 2, 0x1_0000];

/** A firmware that the owner signed, with the counters of its certificates. */
export interface SignedFirmware {
  readonly version: string;
  readonly path: string;
  readonly counters: TbbrCounters;
}

export interface FlashParts {
  readonly bank_a: Extent;
  readonly bank_b: Extent;
  readonly firmware_state_a: Extent;
  readonly firmware_state_b: Extent;
}

export function flashParts({ flash }: Pick<BoardImage, 'flash'>): FlashParts {
  const part = (name: keyof FlashParts): Extent => {
    const found = flash.parts[name];
    if (found === undefined) throw new Error(`the flash has no ${name}`);
    return found;
  };
  return {
    bank_a: part('bank_a'),
    bank_b: part('bank_b'),
    firmware_state_a: part('firmware_state_a'),
    firmware_state_b: part('firmware_state_b'),
  };
}

/**
 * Compiles what decides on the flash, `os/firmware/trusted-firmware/mbl_qemu` as it stands, for this machine. `change`: of a copy in which a
 * source is another one, for a judge that is to be judged.
 */
export async function compileBankChoice(
  folder: string,
  parts: FlashParts,
  change: (name: string, text: string) => string = (_name, text) => text,
): Promise<string> {
  const copies = join(folder, 'sources');
  await mkdir(copies, { recursive: true });
  const sources: string[] = [];
  for (const name of [...files.map((file) => `${file}.c`), ...headers.map((header) => `${header}.h`)]) {
    const path = join(copies, name);
    await writeFile(path, change(basename(path), await readFile(join(source, name), 'utf8')));
    sources.push(path);
  }
  return await compileForHost(folder, {
    sources,
    shim: join(own, 'tf-a.h'),
    main: join(own, 'main.c'),
    includes: [copies, own],
    defines: {
      IMAGE_BL1: 1,
      CORES: 2,
      FLASH_ERASE_BLOCK: parts.firmware_state_a.size,
      FLASH_BANK_A: parts.bank_a.offset,
      FLASH_BANK_B: parts.bank_b.offset,
      FLASH_BANK_SIZE: parts.bank_a.size,
      FLASH_STATE_A: parts.firmware_state_a.offset,
      FLASH_STATE_B: parts.firmware_state_b.offset,
    },
  });
}

/** What a start came to. */
export interface FirmwareStart {
  readonly bank: Slot;
  /** Of a trial; 0 where the bank is accepted. */
  readonly attempt: number;
  readonly version: string;
  /** Refusals before it, each with a restart. */
  readonly refused: number;
  /** Both banks had failed: they took turns. */
  readonly both: boolean;
}

/** A secure flash in a file, and what decides on it. What it is asked is answered one after the other. */
export class BankChoice implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #firmwares: readonly SignedFirmware[];

  private constructor(child: ChildProcess, firmwares: readonly SignedFirmware[]) {
    this.#child = child;
    this.#firmwares = firmwares;
    if (child.stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static open(program: string, flash: string, firmwares: readonly SignedFirmware[]): BankChoice {
    const known = firmwares.flatMap(({ path, counters }) => [
      ...[path, String(counters.trusted), String(counters.nonTrusted)],
    ]);
    const child = spawn(program, [flash, ...known], { stdio: ['pipe', 'pipe', 'inherit'] });
    return new BankChoice(child, firmwares);
  }

  /** A start, by whatever restarts it takes. undefined: no firmware comes up. */
  async start(): Promise<FirmwareStart | undefined> {
    const line = await this.#ask('start');
    const found = /^bank=([ab]) attempt=(\d) firmware=(\d) refused=(\d+) both=([01])$/.exec(line);
    if (line === 'none') return undefined;
    if (found === null) throw new Error(`the firmware says: ${line}`);
    const [, bank, attempt, firmware, refused, both] = found;
    return {
      bank: bank as Slot,
      attempt: Number(attempt),
      version: this.#firmwares[Number(firmware)]?.version ?? '',
      refused: Number(refused),
      both: both === '1',
    };
  }

  async restart(): Promise<void> {
    await this.#ask('reset');
  }

  async powerOff(): Promise<void> {
    await this.#ask('power');
  }

  /** What is stored. The board must be off. */
  async counters(): Promise<FirmwareCounters> {
    const [trusted = 0, nonTrusted = 0, os = 0] = (await this.#ask('counters')).split(' ').map(Number);
    return { trusted, nonTrusted, os };
  }

  /**
   * Of all ways in which a word of the log may be torn on its way to `word`: how many there are, and for each different state of the firmware
   * one of them.
   */
  async tornWords(
    at: number,
    word: number,
  ): Promise<{ readonly count: number; readonly examples: number[] }> {
    const [count = 0, ...examples] = (await this.#ask(`words ${at} ${word}`)).split(' ').map(Number);
    return { count, examples };
  }

  /** U-Boot, just before the kernel. */
  async systemStarts(index: number): Promise<void> {
    await this.#call(calls.osStarts, index, 'n');
  }

  /** As the device's services have them, by the calls of the secure world. */
  get banks(): FirmwareBanks & { readonly size: () => Promise<number> } {
    const size = async (): Promise<number> => (await this.#call(calls.status))[1];
    const none = () => Promise.reject(new Error('nothing is brought to this board'));
    return {
      size,
      status: async () => {
        const [word, bytes] = await this.#call(calls.status);
        const confirmed = (word & statusConfirmed) !== 0;
        const attempts = (word >> 8) & 0xff;
        if ((word & statusTrial) !== 0 && attempts === 0) throw new Error('a trial without an attempt');
        return { bank: (word & 1) === 0 ? 'a' : 'b', accepted: attempts === 0 || confirmed, size: bytes };
      },
      digest: none,
      head: none,
      write: none,
      try: async (bank) => void (await this.#call(calls.try, bank === 'b' ? 1 : 0)),
      confirm: async () => void (await this.#call(calls.confirm)),
      reject: async () => void (await this.#call(calls.reject)),
      copy: async () => {
        let copied = 0;
        const bytes = await size();
        for (let offset = 0; offset < bytes; offset += 0x4_0000)
          copied += (await this.#call(calls.copy, offset))[0];
        return copied;
      },
    };
  }

  async #call(call: number, argument = 0, world: 's' | 'n' = 's'): Promise<[number, number]> {
    const line = await this.#ask(
      `call ${(firstCall + call).toString(16)} ${argument.toString(16)} 0 ${world}`,
    );
    const [result = 0, x1 = 0, x2 = 0] = line.split(' ').map(Number);
    if (result === denied) throw new MblError('device/firmware-refused', 'the boot firmware: not now');
    if (result !== 0) throw new MblError('device/firmware-failed', `the boot firmware: ${result}`);
    return [x1, x2];
  }

  async #ask(line: string): Promise<string> {
    this.#child.stdin?.write(`${line}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the firmware ended at: ${line}`);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    await new Promise((resolve) => {
      if (this.#child.exitCode !== null) resolve(undefined);
      else this.#child.once('close', resolve);
    });
  }
}

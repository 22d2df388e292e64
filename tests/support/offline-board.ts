// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  defaultSystem,
  goodBoot,
  installUpdates,
  judgeTrial,
  runProgram,
  TrialStore,
  type UpdateState,
} from '@mbl/device';
import { bootStateOffsets, bootStateSize, type FirmwareCounters, type Slot } from '@mbl/formats';
import type { BoardImage } from '@mbl/lab';
import type { BankChoice } from './bank-choice.ts';
import { type BootLoader, compileBootLoader, type PartitionFile } from './boot-loader.ts';
import { type Initramfs, prepareInitramfs } from './initramfs.ts';

/** What a board is to be judged with: a version of its system. */
export interface SystemVersion {
  readonly version: string;
  readonly image: Pick<BoardImage, 'root'>;
  /** The bytes of its components. */
  readonly fit: PartitionFile;
  readonly root: PartitionFile;
  /** Folder of its own checks of health. */
  readonly checks: string;
}

/** A board that is off. */
export interface DiskContent {
  readonly partitions: Readonly<Record<'state' | 'boot_a' | 'boot_b' | 'root_a' | 'root_b', PartitionFile>>;
  /** Of each slot the version whose FIT, or whose root, is there to its last byte. */
  readonly fit: Readonly<Record<Slot, string | undefined>>;
  readonly root: Readonly<Record<Slot, string | undefined>>;
  /** The files of `/config/update`, by their names. */
  readonly update: Readonly<Record<string, string>>;
}

/** Where a board stands once a start proved good. */
export interface Settled {
  readonly version: string;
  /** Of the kernel, and of the root. */
  readonly slots: readonly [Slot, Slot];
  readonly starts: number;
  readonly update: UpdateState;
  readonly acceptedIndex: number;
  /** The version of the boot firmware that is accepted then, and its counters. */
  readonly firmware: string;
  readonly counters: FirmwareCounters;
}

/** More than three starts of each slot and bank: whoever needs more never comes back. */
const mostStarts = 10;

/**
 * A board without a processor. What decides is what decides on a board: BL1's and BL31's choice of a bank, U-Boot's `mbl_boot`, the script of the initramfs, the device's
 * verdict on a trial, on a boot and on an update. Only what stands between is told: a FIT whose bytes are not the signed ones is refused,
 * and a root in which one block is not the signed one restarts the board before its start is called good.
 */
export class OfflineBoard {
  readonly #folder: string;
  readonly #loader: BootLoader;
  readonly #initramfs: Initramfs;
  /** Of the flash that this board has. */
  readonly #flash: BankChoice;
  readonly #versions: ReadonlyMap<string, SystemVersion>;

  private constructor(
    folder: string,
    loader: BootLoader,
    initramfs: Initramfs,
    flash: BankChoice,
    versions: readonly SystemVersion[],
  ) {
    this.#folder = folder;
    this.#loader = loader;
    this.#initramfs = initramfs;
    this.#flash = flash;
    this.#versions = new Map(versions.map((version) => [version.version, version]));
  }

  static async open(
    folder: string,
    versions: readonly SystemVersion[],
    flash: BankChoice,
  ): Promise<OfflineBoard> {
    for (const name of ['loader', 'initramfs', 'disk']) await mkdir(join(folder, name), { recursive: true });
    for (const name of ['registered', 'releases.json']) await writeFile(join(folder, name), '');
    const loader = await compileBootLoader(join(folder, 'loader'));
    const initramfs = await prepareInitramfs(join(folder, 'initramfs'));
    return new OfflineBoard(folder, loader, initramfs, flash, versions);
  }

  /**
   * Switches it on, until a start proved good, with a firmware that is accepted. Returns why that never comes, where it does not. `lost`: so
   * many starts before end with a power cut as soon as the kernel runs.
   */
  async settle(content: DiskContent, lost = 0): Promise<Settled | string> {
    const end = await this.#settle(content, lost);
    await this.#flash.powerOff();
    if (typeof end === 'string') return end;
    return { ...end, counters: await this.#flash.counters() };
  }

  async #settle(content: DiskContent, lost: number): Promise<Omit<Settled, 'counters'> | string> {
    const state = await this.#copyState(content.partitions.state);
    const partitions = { ...content.partitions, state };
    await this.#putUpdate(content.update);
    let last = '';
    for (let starts = 1; starts <= mostStarts; starts++) {
      await this.#flash.restart();
      const firmware = await this.#flash.start();
      if (firmware === undefined) return 'no boot firmware comes up';
      if (firmware.both) return 'both banks of the boot firmware failed';
      const accepted = (['a', 'b'] as const).filter((slot) => content.fit[slot] !== undefined);
      const kernel = await this.#loader.start(partitions, accepted);
      if (kernel === undefined) {
        last = 'no slot has a kernel to start';
        continue;
      }
      const system = this.#versions.get(content.fit[kernel] ?? '');
      if (system === undefined) throw new Error(`no version ${content.fit[kernel]}`);
      await this.#flash.systemStarts(0);
      if (starts <= lost) {
        await this.#flash.powerOff();
        continue;
      }
      const boot = await this.#initramfs.start(system.image, partitions);
      if (boot === undefined) {
        last = `the kernel of slot ${kernel} finds no root`;
        continue;
      }
      const root = /^slot=([ab])$/m.exec(boot)?.[1] as Slot;
      if (content.root[root] !== system.version) {
        last = `root_${root} is torn behind its first block`;
        continue;
      }
      await writeFile(join(this.#folder, 'boot'), boot);
      // The name by which the initramfs opened the root.
      const uuid = join(this.#folder, 'sys/class/block/dm-0/dm');
      await mkdir(uuid, { recursive: true });
      await writeFile(join(uuid, 'uuid'), `VERITY-${system.image.root.rootHash}\n`);
      const end = await this.#prove(system);
      if (end !== undefined)
        return {
          ...end,
          version: system.version,
          slots: [kernel, root],
          starts,
          firmware: firmware.version,
        };
      last = `${system.version} with the firmware ${firmware.version} sent itself back, or its firmware`;
    }
    return `not up after ${mostStarts} starts: ${last}`;
  }

  /** What the running system does until its start is called good; undefined: it restarts. */
  async #prove(system: SystemVersion): Promise<Pick<Settled, 'update' | 'acceptedIndex'> | undefined> {
    const at = (name: string): string => join(this.#folder, name);
    const state = at('disk/state');
    const { banks } = this.#flash;
    const platform = installUpdates(
      {
        ...defaultSystem,
        root: this.#folder,
        bootFile: at('boot'),
        panicFile: at('panic'),
        disk: at('disk'),
        update: at('update'),
      },
      { verify: () => Promise.reject(new Error('no release is offered')) },
      banks,
    );
    // The client asks at any time.
    await platform.getUpdate();
    const healthy = await judgeTrial({
      root: this.#folder,
      update: at('update'),
      boot: at('boot'),
      state,
      registered: at('registered'),
      online: () => true,
      orders: at('orders'),
      banks,
      releaseRoot: at('releases.json'),
      checks: system.checks,
      limitMs: 0,
      pauseMs: 0,
      run: async (command, args, deadlineMs) =>
        command === 'systemctl' ? { code: 0, said: '' } : await runProgram(command, args, deadlineMs),
      say: () => undefined,
    });
    if (!healthy) return undefined;
    await goodBoot({ state, update: at('update'), banks, say: () => undefined });
    if ((await banks.status())?.accepted !== true) return undefined;
    const update = await platform.getUpdate();
    return { update, acceptedIndex: await new TrialStore(at('update')).acceptedIndex() };
  }

  async #copyState({ path, offset }: PartitionFile): Promise<PartitionFile> {
    const bytes = Buffer.alloc(bootStateOffsets[1] + bootStateSize);
    await using file = await open(path);
    await file.read(bytes, 0, bytes.length, offset);
    const copy = join(this.#folder, 'disk/state');
    await writeFile(copy, bytes);
    return { path: copy, offset: 0, size: bytes.length };
  }

  async #putUpdate(files: Readonly<Record<string, string>>): Promise<void> {
    const folder = join(this.#folder, 'update');
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  }
}

// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BootState, Extent, Slot } from '@mbl/formats';
import { parseBootState } from '@mbl/formats';
import type { Board, CrashCopy, CrashState, CrashStates, WriteLog } from '@mbl/lab';
import type { PartitionFile } from './boot-loader.ts';
import { copyRegion, extract, recover } from './crashed-partition.ts';
import type { DiskContent, SystemVersion } from './offline-board.ts';

/** A boot state that somebody wrote, and when: positions of the log. */
export interface BootStateWrite {
  readonly state: BootState;
  readonly issued: number;
  /** From here on no cut takes it away; the log's end where nothing made it so. */
  readonly durable: number;
}

const slots: readonly Slot[] = ['a', 'b'];
const block = 4096;

export function partitionOf(board: Board, name: string): Extent {
  const found = board.image.disk.partitions.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no partition ${name}`);
  return found;
}

/** Each boot state that was written in a recorded run, by the boot loader or the system, in their order. */
export async function bootStateWrites(board: Board, log: WriteLog): Promise<BootStateWrite[]> {
  const { offset, size } = partitionOf(board, 'state');
  const disk = log.requests.filter(({ medium }) => medium === 'disk');
  const found: BootStateWrite[] = [];
  await using file = await open(log.path);
  for (const request of disk) {
    if (request.operation !== 'write' || request.offset < offset || request.offset >= offset + size) continue;
    const bytes = Buffer.alloc(request.length);
    await file.read(bytes, 0, bytes.length, request.dataOffset);
    const { completed = log.records, issued } = request;
    const flush = disk.find((one) => one.operation === 'flush' && one.issued > completed);
    const durable = request.forced ? completed : (flush?.completed ?? log.records);
    // A cache may write more than the sector that changed: the copy that is new is the one with the highest number.
    const states = Array.from({ length: bytes.length / 512 }, (_, index) =>
      parseBootState(bytes.subarray(index * 512, (index + 1) * 512)),
    ).filter((state) => state !== undefined);
    const state = states.toSorted((a, b) => b.sequence - a.sequence)[0];
    if (state !== undefined) found.push({ state, issued, durable });
  }
  return found;
}

export interface CrashRange {
  /** Positions of the log between which the power goes. */
  readonly since: number;
  readonly before?: number;
  /** The run as it might have been; default: as it was. */
  readonly log?: WriteLog;
  readonly subsets?: number;
  /** Of the same board: knows the versions already. */
  readonly like?: UpdateStates;
}

/** What a crash state holds, as far as it decides. */
export interface Judged {
  readonly state: CrashState;
  /** The same for all states that a board cannot tell apart. */
  readonly key: string;
  /** A digest of the configuration partition. */
  readonly config: string;
}

/** All crash states of the slots, the boot state and the configuration, and what of the versions each of them holds. */
export class UpdateStates implements AsyncDisposable {
  readonly judged: readonly Judged[];
  readonly states: CrashStates;
  readonly #board: Board;
  readonly #copy: CrashCopy;
  readonly #extent: Extent;
  readonly #folder: string;
  /** Of each part the digests that it has with the components of the versions. */
  readonly whole: ReadonlyMap<string, readonly (readonly [version: string, digest: string])[]>;
  readonly #names: readonly string[];

  private constructor(
    board: Board,
    states: CrashStates,
    copy: CrashCopy,
    found: { extent: Extent; folder: string; names: string[]; whole: UpdateStates['whole'] },
  ) {
    this.#board = board;
    this.states = states;
    this.#copy = copy;
    this.#extent = found.extent;
    this.#folder = found.folder;
    this.#names = found.names;
    this.whole = found.whole;
    this.judged = states.states.map((state) => ({
      state,
      key: this.#keyOf(state),
      config: this.#part(state, 'config'),
    }));
  }

  /** `folder` has room for what is looked at. */
  static async open(
    board: Board,
    folder: string,
    versions: readonly SystemVersion[],
    options: CrashRange,
  ): Promise<UpdateStates> {
    await mkdir(folder, { recursive: true });
    const parts = new Map<string, Extent>();
    const contents = new Map<string, [version: string, file: PartitionFile][]>();
    for (const name of ['state', 'config']) parts.set(name, partitionOf(board, name));
    for (const slot of slots) {
      const [boot, root] = [partitionOf(board, `boot_${slot}`), partitionOf(board, `root_${slot}`)];
      // What the boot loader reads of a FIT before it knows whether it is one.
      parts.set(`head_${slot}`, { offset: boot.offset, size: 512 });
      for (const { version, image, fit, root: tree } of versions) {
        for (const [name, { offset }, file] of [
          [`boot_${slot}`, boot, fit],
          [`root_${slot}`, root, tree],
        ] as const) {
          const size = Math.ceil(file.size / 512) * 512;
          const part = `${name} of ${size}`;
          parts.set(part, { offset, size });
          contents.set(part, [...(contents.get(part) ?? []), [version, file]]);
        }
        // What the initramfs reads of a root: the top of its tree.
        const top = { offset: root.offset + image.root.hashOffset, size: block };
        parts.set(`top_${slot} at ${image.root.hashOffset}`, top);
      }
    }
    const [first, last] = [partitionOf(board, 'state'), partitionOf(board, 'config')];
    const extent = { offset: first.offset, size: last.offset + last.size - first.offset };
    const states = await board.crashStates({ ...options, extent, parts: [...parts.values()] });
    const names = [...parts.keys()];
    const whole = new Map<string, readonly (readonly [string, string])[]>(options.like?.whole);
    for (const [part, files] of options.like === undefined ? contents : [])
      for (const [version, file] of files) {
        const digest = await states.digestOf(names.indexOf(part), file.path, file);
        whole.set(part, [...(whole.get(part) ?? []), [version, digest]]);
      }
    const copy = await states.open(join(folder, 'slots.img'));
    return new UpdateStates(board, states, copy, { extent, folder, names, whole });
  }

  #part(state: CrashState, name: string): string {
    return state.parts[this.#names.indexOf(name)] ?? '';
  }

  /** The version that a partition holds to its last byte. */
  #version(state: CrashState, name: string): string | undefined {
    for (const [part, versions] of this.whole) {
      if (!part.startsWith(`${name} of `)) continue;
      const found = versions.find(([, digest]) => digest === this.#part(state, part));
      if (found !== undefined) return found[0];
    }
    return undefined;
  }

  /** The version of a slot whose kernel and root are whole, and of one version. */
  slot(state: CrashState, slot: Slot): string | undefined {
    const version = this.#version(state, `boot_${slot}`);
    return version === this.#version(state, `root_${slot}`) ? version : undefined;
  }

  #keyOf(state: CrashState): string {
    const known = this.#names.filter((name) => /^(state|head_|top_)/.test(name));
    const versions = slots.flatMap((slot) => [
      this.#version(state, `boot_${slot}`),
      this.#version(state, `root_${slot}`),
    ]);
    return [...known.map((name) => this.#part(state, name)), ...versions].join(' ');
  }

  /** What a board would find. The copy holds it until another state is shown. */
  async show(state: CrashState, update: DiskContent['update']): Promise<DiskContent> {
    await this.#copy.show(state);
    const place = (name: string): PartitionFile => {
      const { offset, size } = partitionOf(this.#board, name);
      return { path: this.#copy.path, offset: offset - this.#extent.offset, size };
    };
    const versions = (part: string) => ({
      a: this.#version(state, `${part}_a`),
      b: this.#version(state, `${part}_b`),
    });
    return {
      partitions: {
        state: place('state'),
        boot_a: place('boot_a'),
        boot_b: place('boot_b'),
        root_a: place('root_a'),
        root_b: place('root_b'),
      },
      fit: versions('boot'),
      root: versions('root'),
      update,
    };
  }

  /** What is in `/config/update` once the board has mounted it; or why it has none. */
  async update(state: CrashState): Promise<DiskContent['update'] | string> {
    await this.#copy.show(state);
    const { offset, size } = partitionOf(this.#board, 'config');
    const image = join(this.#folder, 'config.img');
    await copyRegion({ path: this.#copy.path, offset: offset - this.#extent.offset, size }, image);
    const outcome = await recover(image, 'config');
    if (outcome === 'new' || outcome === 'lost') return `the configuration partition is ${outcome}`;
    const into = join(this.#folder, 'config');
    await extract(image, '/update', into);
    const found: Record<string, string> = {};
    for (const entry of await readdir(join(into, 'update'), { withFileTypes: true }).catch(() => []))
      if (entry.isFile() && !entry.name.startsWith('.'))
        found[entry.name] = await readFile(join(into, 'update', entry.name), 'utf8');
    for (const name of await readdir(join(into, 'update/metadata')).catch(() => []))
      if (!name.startsWith('.')) JSON.parse(await readFile(join(into, 'update/metadata', name), 'utf8'));
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#copy[Symbol.asyncDispose]();
    await this.states[Symbol.asyncDispose]();
  }
}

// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Code } from '@mbl/coap';
import { Lwm2mError, type ValueSink } from '@mbl/lwm2m';
import { MblError } from '@mbl/trust';
import type { Log } from '../../common/log.ts';
import type { UpdateMemory } from './memory.ts';
import { ReleasePackage } from './release-package.ts';
import type { ReceivedPackage, Reception, Updater } from './updater.ts';

export interface PackageIntakeOptions {
  /** A folder of its own: what is in it is removed. */
  readonly folder: string;
  readonly updater: Pick<Updater, 'receive'>;
  readonly memory: Pick<UpdateMemory, 'budget'>;
  readonly log: Log;
  /** The largest package, in bytes. */
  readonly most?: number;
  /** Bytes that stay free on the file system for everybody else. */
  readonly reserve?: number;
}

const mib = 1024 * 1024;
/** No board of ours has slots for more. */
const usualMost = 768 * mib;
const usualReserve = 64 * mib;
/** The room is looked at again after so many bytes. */
const roomEvery = 4 * mib;
/** Who observes is told after so many bytes. */
const tellEvery = mib;
const tarBlock = 512;

/**
 * Takes packages that a server writes into object 5 (LwM2M Core 1.1 Appendix E.6, resource 0), block by block, into a file on the disk: one at a
 * time, the newest order counts. Each ends as a `ReleasePackage` in the updater's hands, or as nothing; its file is gone when the updater is done
 * with it.
 */
export class PackageIntake {
  readonly #options: PackageIntakeOptions;
  #number = 0;
  #tidied: Promise<void> | undefined;

  constructor(options: PackageIntakeOptions) {
    this.#options = options;
  }

  /** Removes what a client before this one left. Once; whatever comes waits for it. */
  async tidy(): Promise<void> {
    this.#tidied ??= (async () => {
      const { folder, log } = this.#options;
      await mkdir(folder, { recursive: true }).catch(() => undefined);
      for (const name of await readdir(folder).catch(() => []))
        await rm(join(folder, name), { recursive: true, force: true }).catch((error: unknown) => {
          log.warning('package not removed', { name, reason: messageOf(error) });
        });
    })();
    await this.#tidied;
  }

  /** `size` in bytes, where the server says it. Throws `Lwm2mError`: 4.05 when it is too late for another, 4.13 for one that is too large. */
  open(size: number | undefined): ValueSink {
    const { updater, folder, log } = this.#options;
    let reception;
    try {
      reception = updater.receive();
    } catch (cause) {
      if (!(cause instanceof MblError)) throw cause;
      throw new Lwm2mError('device/updating', cause.message, { status: Code.METHOD_NOT_ALLOWED, cause });
    }
    log.info('package comes', { bytes: size });
    const path = join(folder, `package-${++this.#number}.tar`);
    return new PackageSink(this.#options, reception, path, size, () => this.tidy());
  }

  /** One that came in a single message. Throws as a sink does. */
  async take(value: Uint8Array): Promise<void> {
    const sink = this.open(value.length);
    await sink.write(value);
    await sink.end();
  }
}

class PackageSink implements ValueSink {
  readonly #options: PackageIntakeOptions;
  readonly #reception: Reception;
  readonly #path: string;
  readonly #size: number | undefined;
  readonly #tidy: () => Promise<void>;
  #file: FileHandle | undefined;
  #length = 0;
  #looked = -Infinity;
  #told = 0;
  #working: Promise<unknown> = Promise.resolve();
  #ended = false;
  /** Resolves when it comes to nothing. */
  readonly #left = Promise.withResolvers<void>();

  constructor(
    options: PackageIntakeOptions,
    reception: Reception,
    path: string,
    size: number | undefined,
    tidy: () => Promise<void>,
  ) {
    this.#options = options;
    this.#reception = reception;
    this.#path = path;
    this.#size = size;
    this.#tidy = tidy;
    reception.signal.addEventListener('abort', () => this.#leave(), { once: true });
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#work(async () => await this.#write(bytes));
  }

  async end(): Promise<void> {
    await this.#work(async () => {
      await this.#file?.close();
      this.#file = undefined;
      if (this.#size !== undefined && this.#size !== this.#length)
        throw failed(
          'unsupportedPackage',
          badPackage(`${this.#size} bytes were announced`),
          Code.BAD_REQUEST,
        );
      this.#ended = true;
      this.#options.log.info('package is here', { bytes: this.#length });
      this.#reception.end(this.#received());
    });
  }

  abort(cause: Error): void {
    this.#reception.fail(
      'connectionLost',
      new MblError('device/package-lost', `the package broke off: ${cause.message}`),
    );
    this.#leave();
  }

  /** One thing at a time; what fails ends it. */
  async #work(action: () => Promise<void>): Promise<void> {
    if (this.#ended || this.#reception.signal.aborted) throw replaced();
    const work = action();
    this.#working = work.catch(() => undefined);
    try {
      await work;
    } catch (error) {
      if (this.#ended) throw replaced();
      const [result, cause, status] = verdictOf(error);
      this.#options.log.error('package refused', { reason: cause.message });
      this.#reception.fail(result, cause);
      this.#leave();
      throw new Lwm2mError(cause.code, cause.message, { status, cause });
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#file === undefined) await this.#begin(bytes);
    const length = this.#length + bytes.length;
    this.#checkSize(length);
    if (length - this.#looked >= roomEvery) {
      await this.#checkRoom(Math.max(bytes.length, (this.#size ?? 0) - this.#length));
      this.#looked = length;
    }
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = (await this.#file?.write(bytes, at)) ?? { bytesWritten: bytes.length };
      at += bytesWritten;
    }
    this.#length = length;
    if (length - this.#told < tellEvery && length !== this.#size) return;
    this.#told = length;
    this.#reception.arrived(length, this.#size ?? 0);
  }

  async #begin(bytes: Uint8Array): Promise<void> {
    // 'ustar' of POSIX.1-2017 and of GNU: what is something else altogether is told at once.
    const magic = Buffer.from(bytes.subarray(257, 262)).toString('latin1');
    if (bytes.length >= tarBlock && magic !== 'ustar')
      throw failed('unsupportedPackage', badPackage('it is no tar archive'), Code.BAD_REQUEST);
    this.#checkSize(this.#size ?? 0);
    // What the one before left is gone first: there is room for one. Nobody waits for that, with a block in his hands, in vain.
    await Promise.race([this.#reception.ready, this.#left.promise]);
    if (this.#ended) throw replaced();
    await this.#tidy();
    this.#file = await open(this.#path, 'wx', 0o600);
  }

  #checkSize(length: number): void {
    const { most = usualMost, memory } = this.#options;
    const status = Code.REQUEST_ENTITY_TOO_LARGE;
    if (length > most) throw failed('noFlash', noRoom(`a package has at most ${most} bytes`), status);
    if (this.#size !== undefined && length > this.#size)
      throw failed('unsupportedPackage', badPackage(`${this.#size} bytes were announced`), status);
    if (memory.budget > 0 && length > memory.budget) {
      const why = `the package has at least ${length} bytes, and the budget is ${memory.budget}`;
      throw failed('failed', new MblError('device/over-budget', why), status);
    }
  }

  async #checkRoom(more: number): Promise<void> {
    const { folder, reserve = usualReserve } = this.#options;
    const { bavail, bsize } = await statfs(folder);
    const room = bavail * bsize - reserve;
    if (more <= room) return;
    const why = `${more} more bytes are to come, and there is room for ${Math.max(0, room)}`;
    throw failed('noFlash', noRoom(why), Code.REQUEST_ENTITY_TOO_LARGE);
  }

  #received(): ReceivedPackage {
    let opened: ReleasePackage | undefined;
    return {
      open: async () => (opened ??= await ReleasePackage.open(this.#path)),
      [Symbol.asyncDispose]: async () => {
        await opened?.[Symbol.asyncDispose]();
        await this.#remove();
      },
    };
  }

  /** It comes to nothing. */
  #leave(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#left.resolve();
    void (async () => {
      await this.#working;
      await this.#file?.close().catch(() => undefined);
      await this.#remove();
      this.#reception.end(undefined);
    })();
  }

  async #remove(): Promise<void> {
    await rm(this.#path, { force: true }).catch((error: unknown) => {
      this.#options.log.warning('package not removed', { reason: messageOf(error) });
    });
  }
}

type Verdict = readonly [result: Parameters<Reception['fail']>[0], cause: MblError, status: number];

/** What a failure means to the server. */
class Failed extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict) {
    super(verdict[1].message);
    this.verdict = verdict;
  }
}

function replaced(): Lwm2mError {
  return new Lwm2mError('device/package-lost', 'another order took the place of this package', {
    status: Code.REQUEST_ENTITY_INCOMPLETE,
  });
}

function failed(...verdict: Verdict): Failed {
  return new Failed(verdict);
}

function verdictOf(error: unknown): Verdict {
  if (error instanceof Failed) return error.verdict;
  const why = messageOf(error);
  const isFull =
    error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  if (isFull) return ['noFlash', noRoom(why, error), Code.REQUEST_ENTITY_TOO_LARGE];
  const cause = new MblError('device/package-not-kept', `the package cannot be kept: ${why}`, {
    cause: error,
  });
  return ['failed', cause, Code.INTERNAL_SERVER_ERROR];
}

function noRoom(why: string, cause?: unknown): MblError {
  return new MblError('device/no-room', `there is no room for the package: ${why}`, {
    remedy: 'Have the device fetch the release: write the Package URI.',
    cause,
  });
}

function badPackage(why: string): MblError {
  return new MblError('device/bad-package', `this is no package of a release: ${why}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// SPDX-License-Identifier: Apache-2.0
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diffLock, emptyLock, type Lock, type LockChange, readLock, writeLock } from '../recipes/lock.ts';
import { placeLock, type RequestAt, sameRequest, type Stages } from './stages.ts';

/** A change of a lock, with the file that it was written to. */
export interface LockFileChange extends LockChange {
  readonly file: string;
}

/** A lock that a build needs. */
export interface WantedLock {
  /** Path below a folder of locks, without its ending: `trixie/root-production`. */
  readonly file: string;
  /** What a stage asks for: the whole build's request is what the lock must answer. */
  readonly request: RequestAt;
  /** Locks to start from while there is none, nearest first, as `file`. */
  readonly bases?: readonly string[];
  /** Answers a request; what `before` has stays for as long as it serves, unless `before` is empty. */
  readonly resolve: (request: readonly string[], before: Lock) => Promise<Omit<Lock, 'version' | 'request'>>;
}

/** Where a build takes its locks from. */
export interface LockSource {
  /** The lock that answers what the build asks for. */
  obtain(wanted: WantedLock): Promise<Lock>;
  /** All that were obtained, by `file`. */
  readonly locks: ReadonlyMap<string, Lock>;
}

/**
 * The lock files of the distribution and of the layers. One that answers the request is taken as it is; another is changed by what the
 * request needs; with `update` each is made anew. What is changed is written.
 */
export class LockFiles implements LockSource {
  readonly locks = new Map<string, Lock>();
  readonly #stages: Stages;
  readonly #update: boolean;
  readonly #onChange: (change: LockFileChange) => void;

  /** `onChange` hears of each change once it is written: also of those of a build that fails later. */
  constructor(stages: Stages, update: boolean, onChange: (change: LockFileChange) => void = () => {}) {
    this.#stages = stages;
    this.#update = update;
    this.#onChange = onChange;
  }

  async obtain({ file, request, bases, resolve }: WantedLock): Promise<Lock> {
    const place = await placeLock(this.#stages, file, request, bases);
    const { path, lock: before } = await readFirst([place.path, ...place.seeds]);
    const answers = !this.#update && sameRequest(before.request, place.request);
    if (answers && path === place.path) {
      this.locks.set(file, before);
      return before;
    }
    const answer = answers ? before : await resolve(place.request, this.#update ? emptyLock : before);
    await mkdir(dirname(place.path), { recursive: true });
    await writeLock(place.path, { ...answer, version: 1, request: place.request });
    // As the next build will read it: the same order, so the same keys of tasks.
    const after = await readLock(place.path);
    for (const change of diffLock(before, after)) this.#onChange({ ...change, file: place.path });
    this.locks.set(file, after);
    return after;
  }
}

/** The first lock that is there, or an empty one. */
async function readFirst(paths: readonly string[]): Promise<{ path: string | undefined; lock: Lock }> {
  for (const path of paths) {
    const lock = await readLock(path);
    if (lock !== emptyLock) return { path, lock };
  }
  return { path: undefined, lock: emptyLock };
}

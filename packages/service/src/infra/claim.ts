// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { MblError } from '@mbl/trust';
import type { Log } from './log.ts';

/** Key of the advisory lock that a running service holds: two services on one database would both own the presence. */
const serviceLock = 0x6d626c31;

/** PostgreSQL may take a moment to notice that a killed service has gone. */
const claimPatienceMs = 2000;
const longestPauseMs = 2000;
const unlockPatienceMs = 2000;
/** A connection may fall silent between its beginning and the answer about the lock. */
const lockAnswerMs = 10_000;

export interface ClaimOptions {
  readonly log: Log;
  /** Brings the database back where that is ours to do; it may fail, and gives up when the claim is disposed. */
  readonly revive?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Told when the claim's connection broke or fell silent, before it is taken again: the other connections are as dead. */
  readonly onAway?: (() => void) | undefined;
  /** How long a database may be away before the claim counts as lost; default two minutes. */
  readonly patienceMs?: number;
  /** How often the claim is looked after, and how long that may take; default 5 s. */
  readonly heartbeatMs?: number;
}

/** One service's claim on its database. */
export interface DatabaseClaim extends AsyncDisposable {
  /** Resolves when the claim is lost: another service holds the database, or it stayed away too long. */
  readonly lost: Promise<Error>;
  /** Since when the database has been away, in Unix milliseconds; undefined while it is there. */
  readonly awaySince: number | undefined;
}

/**
 * Claims the database for one service until disposed or until the process ends, however it ends. A claim whose connection breaks is
 * taken again; a connection that is silent counts as broken, because the database may have given the claim to another. Throws
 * `service/already-running` or `service/database-unreachable`.
 */
export async function claimDatabase(pool: pg.Pool, options: ClaimOptions): Promise<DatabaseClaim> {
  const keeper = new ClaimKeeper(pool, options);
  await keeper.start();
  return keeper;
}

class ClaimKeeper implements DatabaseClaim {
  readonly #pool: pg.Pool;
  readonly #options: ClaimOptions;
  readonly #lost = Promise.withResolvers<Error>();
  readonly #over = new AbortController();
  #client: pg.PoolClient | undefined;
  #kept: Promise<void> | undefined;
  #awaySince: number | undefined;

  constructor(pool: pg.Pool, options: ClaimOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  get lost(): Promise<Error> {
    return this.#lost.promise;
  }

  get awaySince(): number | undefined {
    return this.#awaySince;
  }

  async start(): Promise<void> {
    this.#client = await claim(this.#pool);
    this.#kept = this.#keep();
  }

  async #keep(): Promise<void> {
    const { log } = this.#options;
    while (!this.#over.signal.aborted) {
      const error = await this.#broken(this.#client as pg.PoolClient);
      if (error === undefined) return;
      this.#client?.release(true);
      this.#client = undefined;
      const since = Date.now();
      this.#awaySince = since;
      this.#options.onAway?.();
      log.warn('The database went away; the service waits for it', { error });
      try {
        this.#client = await this.#again(since);
      } catch (cause) {
        if (!this.#over.signal.aborted) this.#lost.resolve(cause as Error);
        return;
      }
      this.#awaySince = undefined;
      log.info('The database is back', { awayMs: Date.now() - since });
    }
  }

  /** Resolves with the error that broke the connection; undefined when the claim was given up. */
  async #broken(client: pg.PoolClient): Promise<Error | undefined> {
    const { heartbeatMs = 5000 } = this.#options;
    const failed = Promise.withResolvers<Error>();
    client.on('error', failed.resolve);
    const { signal } = this.#over;
    try {
      for (;;) {
        const rest = delay(heartbeatMs, undefined, { signal, ref: false }).catch(() => undefined);
        const broke = await Promise.race([failed.promise, rest]);
        if (signal.aborted) return undefined;
        if (broke !== undefined) return broke;
        const silent = delay(heartbeatMs, new Error('it does not answer'), { signal, ref: false }).catch(
          () => undefined,
        );
        const answer = client.query('select 1').then(
          () => undefined,
          (error: unknown) => error as Error,
        );
        const ended = await Promise.race([answer, failed.promise, silent]);
        if (signal.aborted) return undefined;
        if (ended !== undefined) return ended;
      }
    } finally {
      client.off('error', failed.resolve);
    }
  }

  /** Claims anew, as often as it takes. Throws when another service was quicker, or patience is at its end. */
  async #again(since: number): Promise<pg.PoolClient> {
    const { patienceMs = 120_000, revive } = this.#options;
    for (let pauseMs = 50; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        await revive?.(this.#over.signal);
        this.#over.signal.throwIfAborted();
        return await claim(this.#pool);
      } catch (error) {
        const another = error instanceof MblError && error.code === 'service/already-running';
        if (another || this.#over.signal.aborted || Date.now() - since > patienceMs) throw error;
      }
      await delay(pauseMs, undefined, { signal: this.#over.signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#kept;
    const unlocked = this.#client?.query('select pg_advisory_unlock($1)', [serviceLock]).catch(() => {});
    // The lock ends with the connection, too: nobody waits for a database that is silent.
    await Promise.race([unlocked, delay(unlockPatienceMs, undefined, { ref: false })]);
    this.#client?.release(true);
  }
}

async function claim(pool: pg.Pool): Promise<pg.PoolClient> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw unreachable(cause);
  });
  const settled = new AbortController();
  const silent = delay(lockAnswerMs, undefined, { signal: settled.signal, ref: false }).then(
    () => {
      throw unreachable(new Error('it does not answer'));
    },
    () => undefined,
  );
  try {
    await Promise.race([takeLock(client), silent]);
    return client;
  } catch (error) {
    client.release(true);
    throw error instanceof MblError ? error : unreachable(error);
  } finally {
    settled.abort();
  }
}

async function takeLock(client: pg.PoolClient): Promise<void> {
  const deadline = Date.now() + claimPatienceMs;
  for (;;) {
    const result = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [
      serviceLock,
    ]);
    if (result.rows[0]?.got === true) return;
    if (Date.now() > deadline) {
      throw new MblError('service/already-running', 'Another service is running on this database', {
        remedy: 'Stop it first (`./mbl down`), or give this one another directory or database',
      });
    }
    await delay(50);
  }
}

function unreachable(cause: unknown): MblError {
  return new MblError(
    'service/database-unreachable',
    `The database cannot be used: ${(cause as Error).message}`,
    {
      remedy:
        'Check --database-url, or DATABASE_URL, and that its server runs; without one the service starts its own',
      cause,
    },
  );
}

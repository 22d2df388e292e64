// SPDX-License-Identifier: Apache-2.0
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { MblError } from '@mbl/trust';
import type { Log } from './log.ts';

/** A connection string, or the parts that `pg` wants. */
export type DatabaseTarget = string | pg.PoolConfig;

/** Key of the advisory lock that a running service holds: two services on one database would both own the presence. */
const serviceLock = 0x6d626c31;

export interface Database<Schema> extends AsyncDisposable {
  readonly db: Kysely<Schema>;
  readonly pool: pg.Pool;
}

/** Opens a pool. Connections are made when needed; nothing is sent yet. */
export function openDatabase<Schema>(target: DatabaseTarget, log: Log): Database<Schema> {
  const config = typeof target === 'string' ? { connectionString: target } : target;
  const types = new pg.TypeOverrides();
  // A plain date stays text: as a Date it would be midnight in somebody's time zone.
  types.setTypeParser(pg.types.builtins.DATE, (value) => value);
  const pool = new pg.Pool({ max: 10, connectionTimeoutMillis: 10_000, types, ...config });
  pool.on('error', (error) => log.warn('A database connection broke', { error }));
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return { db, pool, [Symbol.asyncDispose]: () => db.destroy() };
}

/** One service's claim on its database. */
export interface DatabaseClaim extends AsyncDisposable {
  /** Resolves when the claim was lost with its connection: from then on another service may hold it. */
  readonly lost: Promise<Error>;
}

/**
 * Claims the database for one service until disposed or until the process ends, however it ends. Throws
 * `service/already-running`.
 */
export async function claimDatabase(pool: pg.Pool): Promise<DatabaseClaim> {
  const client = await pool.connect();
  const lost = Promise.withResolvers<Error>();
  let broken: Error | undefined;
  client.on('error', (error) => {
    broken = error;
    lost.resolve(error);
  });
  const result = await client.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [
    serviceLock,
  ]);
  if (result.rows[0]?.got !== true) {
    client.release();
    throw new MblError('service/already-running', 'Another service is running on this database', {
      remedy: 'Stop it first (`./mbl down`), or give this one another directory or database',
    });
  }
  return {
    lost: lost.promise,
    async [Symbol.asyncDispose]() {
      // Closing the session gives the lock back, whatever state it is in.
      client.release(broken ?? true);
    },
  };
}

/** True for PostgreSQL's unique_violation (SQLSTATE 23505). */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

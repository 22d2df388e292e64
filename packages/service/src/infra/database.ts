// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { MblError } from '@mbl/trust';
import type { Log } from './log.ts';

/** PostgreSQL may take a moment to notice that a killed service has gone. */
const claimPatienceMs = 2000;

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
  let closing = false;
  // For as long as a connection lives: the pool listens to idle ones only, and an error that nobody hears ends the process.
  pool.on('connect', (client) => {
    client.on('error', (error) => {
      // Connections that are being closed may still see the server go.
      if (!closing) log.warn('A database connection broke', { error });
    });
  });
  // What the pool hears of an idle connection has been said above.
  pool.on('error', () => {});
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    pool,
    async [Symbol.asyncDispose]() {
      closing = true;
      await db.destroy();
    },
  };
}

/** One service's claim on its database. */
export interface DatabaseClaim extends AsyncDisposable {
  /** Resolves when the claim was lost with its connection: from then on another service may hold it. */
  readonly lost: Promise<Error>;
}

/**
 * Claims the database for one service until disposed or until the process ends, however it ends. Throws
 * `service/already-running` or `service/database-unreachable`.
 */
export async function claimDatabase(pool: pg.Pool): Promise<DatabaseClaim> {
  const lost = Promise.withResolvers<Error>();
  let broken: Error | undefined;
  const client = await pool.connect().catch((cause: unknown) => {
    throw unreachable(cause);
  });
  client.on('error', (error) => {
    broken = error;
    lost.resolve(error);
  });
  try {
    await takeLock(client);
  } catch (error) {
    client.release(true);
    throw error instanceof MblError ? error : unreachable(error);
  }
  return {
    lost: lost.promise,
    async [Symbol.asyncDispose]() {
      await client.query('select pg_advisory_unlock($1)', [serviceLock]).catch(() => {});
      client.release(broken ?? true);
    },
  };
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

/** True when a text holds what PostgreSQL cannot: NUL (SQLSTATE 22021 in text, 22P05 in jsonb). */
export function isUnstorableText(error: unknown): boolean {
  return error instanceof pg.DatabaseError && (error.code === '22021' || error.code === '22P05');
}

/** True for PostgreSQL's unique_violation (SQLSTATE 23505). */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

/** Classes of SQLSTATE that pass by themselves: connection, transaction rollback, resources, not in this state, operator, system. */
const passingClasses: readonly string[] = ['08', '40', '53', '55', '57', '58'];

/** Whether the same statement may succeed a little later: the database was away, or had no place. */
export function isPassing(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return passingClasses.includes(error.code?.slice(0, 2) ?? '');
  // What the driver throws by itself is about the connection; our own mistakes are not.
  const mistakes = [TypeError, RangeError, ReferenceError, SyntaxError];
  return error instanceof Error && !mistakes.some((kind) => error instanceof kind);
}

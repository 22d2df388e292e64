// SPDX-License-Identifier: Apache-2.0
import type { Duplex } from 'node:stream';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';

/** A connection string, or the parts that `pg` wants. */
export type DatabaseTarget = string | pg.PoolConfig;

export interface Database<Schema> extends AsyncDisposable {
  readonly db: Kysely<Schema>;
  readonly pool: pg.Pool;
  /** Breaks every connection: whoever waits for an answer on one that is dead, and does not say so, fails instead of waiting for ever. */
  dropConnections(): void;
}

/** How long a connection may take to end: a database that is silent would never. */
const farewellMs = 2000;

/** Opens a pool. Connections are made when needed; nothing is sent yet. */
export function openDatabase<Schema>(target: DatabaseTarget): Database<Schema> {
  const config = typeof target === 'string' ? { connectionString: target } : target;
  const types = new pg.TypeOverrides();
  // A plain date stays text: as a Date it would be midnight in somebody's time zone.
  types.setTypeParser(pg.types.builtins.DATE, (value) => value);
  const pool = new pg.Pool({
    max: 10,
    connectionTimeoutMillis: 10_000,
    // A statement that hangs must not hold its connection for ever.
    statement_timeout: 30_000,
    // Nor may a transaction whose client fell silent: others wait for its locks, all writers of events among them.
    idle_in_transaction_session_timeout: 30_000,
    types,
    ...config,
  });
  // For as long as a connection lives: the pool listens to idle ones only, and an error that nobody hears ends the process. Whoever
  // runs a statement on it hears of it by that; the claim says when the database is away.
  const clients = new Set<pg.PoolClient>();
  pool.on('connect', (client) => {
    clients.add(client);
    client.on('error', () => {});
  });
  pool.on('remove', (client) => clients.delete(client));
  pool.on('error', () => {});
  const dropConnections = (): void => {
    for (const client of clients) streamOf(client)?.destroy();
  };
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return {
    db,
    pool,
    dropConnections,
    async [Symbol.asyncDispose]() {
      const late = setTimeout(dropConnections, farewellMs);
      await db.destroy();
      clearTimeout(late);
    },
  };
}

/** The socket of a connection, which the types of `pg` do not show; `client.end()` would first ask the other end. */
function streamOf(client: pg.PoolClient): Duplex | undefined {
  return (client as { connection?: { stream?: Duplex } }).connection?.stream;
}

/** A text from anywhere as PostgreSQL can hold it, that long at most: without NUL, and no half of a character, where the cut fell or as it came. */
export function storable(text: string, length: number): string {
  return text.slice(0, length).toWellFormed().replaceAll('\0', '\u{fffd}');
}

/** True when a text holds what PostgreSQL cannot: NUL (SQLSTATE 22021 in text, 22P05 in jsonb), or in jsonb half of a surrogate pair (22P02). */
export function isUnstorableText(error: unknown): boolean {
  if (!(error instanceof pg.DatabaseError)) return false;
  const { code, detail } = error;
  return code === '22021' || code === '22P05' || (code === '22P02' && /surrogate/i.test(detail ?? ''));
}

/** True for PostgreSQL's unique_violation (SQLSTATE 23505). */
export function isUniqueViolation(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505';
}

/** Classes of SQLSTATE that pass by themselves: connection, transaction rollback, resources, not in this state, operator, system. */
const passingClasses: readonly string[] = ['08', '40', '53', '55', '57', '58'];
/** Of class 25: read-only, as a database is whose disk is nearly full or that is about to take over; and transactions that took too long. */
const passingCodes: readonly string[] = ['25006', '25P03', '25P04'];

/** Whether the same statement may succeed a little later: the database was away, or had no place. */
export function isPassing(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) {
    const { code = '' } = error;
    return passingClasses.includes(code.slice(0, 2)) || passingCodes.includes(code);
  }
  // What the driver throws by itself is about the connection; our own mistakes are not.
  const mistakes = [TypeError, RangeError, ReferenceError, SyntaxError];
  return error instanceof Error && !mistakes.some((kind) => error instanceof kind);
}

// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { MblError } from '@mbl/trust';
import type pg from 'pg';

/** Key of the advisory lock under which migrations run. */
const migrationLock = 0x6d626c30;

export interface Migration {
  /** `0001-devices`: the order is that of the names, over all features. */
  readonly name: string;
  readonly sql: string;
}

/** Reads `<features>/<feature>/migrations/*.sql`. Two files with one name are a mistake of ours: throws. */
export async function readMigrations(features: string): Promise<Migration[]> {
  const found: Migration[] = [];
  for (const feature of await readdir(features)) {
    const folder = join(features, feature, 'migrations');
    for (const file of await readdir(folder).catch(() => [])) {
      if (!file.endsWith('.sql')) continue;
      found.push({ name: basename(file, '.sql'), sql: await readFile(join(folder, file), 'utf8') });
    }
  }
  found.sort((a, b) => (a.name < b.name ? -1 : 1));
  const twice = found.find((migration, index) => found[index - 1]?.name === migration.name);
  if (twice !== undefined)
    throw new MblError('service/migration-twice', `Two migrations are named ${twice.name}`);
  return found;
}

/**
 * Brings a database forward, each migration in a transaction of its own. Gives the names of those applied now. Throws
 * `service/database-newer` when the database knows a migration that we do not, `service/migration-failed`.
 */
export async function migrate(pool: pg.Pool, migrations: readonly Migration[]): Promise<string[]> {
  const client = await pool.connect();
  try {
    // A change of a large table may take its time.
    await client.query('set statement_timeout = 0');
    await client.query('select pg_advisory_lock($1)', [migrationLock]);
    await client.query(
      'create table if not exists migrations (name text primary key, applied_at timestamptz not null default now())',
    );
    const done = new Set(
      (await client.query<{ name: string }>('select name from migrations')).rows.map((row) => row.name),
    );
    const known = new Set(migrations.map((migration) => migration.name));
    const foreign = [...done].find((name) => !known.has(name));
    if (foreign !== undefined) {
      throw new MblError(
        'service/database-newer',
        `The database was made by a newer service (migration ${foreign})`,
        {
          remedy: 'Run that newer service, or give this one another directory or database',
        },
      );
    }
    const applied: string[] = [];
    for (const migration of migrations) {
      if (done.has(migration.name)) continue;
      await apply(client, migration);
      applied.push(migration.name);
    }
    return applied;
  } finally {
    await client.query('select pg_advisory_unlock($1)', [migrationLock]).catch(() => {});
    await client.query('reset statement_timeout').catch(() => {});
    client.release();
  }
}

async function apply(client: pg.PoolClient, migration: Migration): Promise<void> {
  try {
    await client.query('begin');
    await client.query(migration.sql);
    await client.query('insert into migrations (name) values ($1)', [migration.name]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw new MblError('service/migration-failed', `Migration ${migration.name} failed`, {
      remedy: 'Nothing of it was kept; the service runs again as soon as the cause is gone',
      cause: error,
    });
  }
}

// SPDX-License-Identifier: Apache-2.0
import { access, readdir } from 'node:fs/promises';
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';

/** Where Debian's `postgresql-<major>` packages put their programs, one folder a major version. */
const debianRoot = '/usr/lib/postgresql';

export interface PostgresBinaries {
  readonly major: number;
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the server programs: those of `major` when a cluster of that version exists already, otherwise the newest.
 * Throws `service/postgres-missing`.
 */
export async function findPostgres(major?: number, root = debianRoot): Promise<PostgresBinaries> {
  const installed = (await readdir(root).catch(() => []))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((a, b) => b - a);
  for (const candidate of major === undefined ? installed : installed.filter((one) => one === major)) {
    const bin = join(root, String(candidate), 'bin');
    const found = { major: candidate, initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
    const usable = await Promise.all([found.initdb, found.postgres].map(isExecutable));
    if (usable.every(Boolean)) return found;
  }
  const wanted = major === undefined ? 'PostgreSQL' : `PostgreSQL ${major}, which made this cluster,`;
  throw new MblError('service/postgres-missing', `${wanted} is not installed below ${root}`, {
    remedy: `Install it: apt-get install postgresql${major === undefined ? '' : `-${major}`}`,
  });
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

// SPDX-License-Identifier: Apache-2.0
import { access, readdir } from 'node:fs/promises';
import { constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MblError } from '@mbl/trust';

/** Where Debian's `postgresql-<major>` packages put their programs, one folder a major version. */
const programs = /\/postgresql\/(\d+)\/bin$/;
const debianRoot = '/usr/lib/postgresql';

export interface PostgresBinaries {
  readonly major: number;
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the server programs: those of `major` when a cluster of that version exists already, otherwise the first on the search path, or
 * the newest below `root`. Throws `service/postgres-missing`.
 */
export async function findPostgres(
  major?: number,
  root = debianRoot,
  searchPath = process.env['PATH'] ?? '',
): Promise<PostgresBinaries> {
  const onPath = searchPath.split(delimiter).filter((folder) => programs.test(folder));
  const installed = (await readdir(root).catch(() => []))
    .filter((name) => /^\d+$/.test(name))
    .toSorted((a, b) => Number(b) - Number(a))
    .map((name) => join(root, name, 'bin'));
  for (const bin of [...onPath, ...installed]) {
    const candidate = Number(programs.exec(bin)?.[1] ?? /(\d+)\/bin$/.exec(bin)?.[1]);
    if (major !== undefined && candidate !== major) continue;
    const found = { major: candidate, initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
    const usable = await Promise.all([found.initdb, found.postgres].map(isExecutable));
    if (usable.every(Boolean)) return found;
  }
  const wanted = major === undefined ? 'PostgreSQL' : `PostgreSQL ${major}, which made this cluster,`;
  throw new MblError(
    'service/postgres-missing',
    `${wanted} is neither on the search path nor below ${root}`,
    {
      remedy:
        major === undefined
          ? 'Start the service with ./mbl up, which brings it'
          : `Install it: apt-get install postgresql-${major}`,
    },
  );
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readFile, readlink, stat, symlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MblError } from '@mbl/trust';

/** The identity that PostgreSQL runs with. Absent: the same as ours. */
export interface PostgresUser {
  readonly uid: number;
  readonly gid: number;
}

export interface ClusterLocation {
  /** Absolute; holds `data/`, `log` and, when its name is short enough, `socket/`. */
  readonly directory: string;
  readonly user: PostgresUser | undefined;
}

/** Where root keeps a cluster whose own directory the PostgreSQL user could not reach. */
const systemRoot = '/var/lib/mbl';

/**
 * Decides where a cluster lives and as whom it runs, and makes the directory.
 *
 * PostgreSQL refuses to run as root. Root therefore hands the cluster to Debian's `postgres` user (or `nobody`); and if a
 * folder above is closed to that user (a working copy below /root), the cluster is kept in /var/lib/mbl and
 * `directory` becomes a symbolic link to it, which is also how the next start finds it again.
 */
export async function locateCluster(directory: string, root = systemRoot): Promise<ClusterLocation> {
  const wanted = resolve(directory);
  await mkdir(dirname(wanted), { recursive: true });
  if (process.getuid?.() !== 0) {
    await mkdir(wanted, { recursive: true, mode: 0o700 });
    return { directory: wanted, user: undefined };
  }
  const user = await unprivilegedUser();
  const existing = await lstat(wanted).catch(() => undefined);
  if (existing?.isSymbolicLink()) {
    const target = resolve(dirname(wanted), await readlink(wanted));
    await mkdir(target, { recursive: true, mode: 0o700 });
    await chown(target, user.uid, user.gid);
    return { directory: target, user };
  }
  if (existing === undefined && !(await isReachable(dirname(wanted)))) {
    const target = join(root, randomBytes(8).toString('hex'));
    // Whatever the umask: the PostgreSQL user passes through.
    if ((await mkdir(root, { recursive: true })) !== undefined) await chmod(root, 0o711);
    await mkdir(target, { mode: 0o700 });
    await chown(target, user.uid, user.gid);
    await symlink(target, wanted);
    return { directory: target, user };
  }
  if (!(await isReachable(dirname(wanted)))) {
    throw new MblError('service/cluster-unreachable', `The PostgreSQL user cannot reach ${wanted}`, {
      remedy: `Open the folders above it (chmod o+x), or remove ${wanted} to start with an empty database`,
    });
  }
  await mkdir(wanted, { recursive: true, mode: 0o700 });
  await chown(wanted, user.uid, user.gid);
  return { directory: wanted, user };
}

/** True when everybody may pass through every folder down to `directory`. */
async function isReachable(directory: string): Promise<boolean> {
  for (let folder = directory; ; folder = dirname(folder)) {
    const { mode } = await stat(folder);
    if ((mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

async function unprivilegedUser(): Promise<PostgresUser> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = lines.find(([user]) => user === name);
    if (entry !== undefined) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new MblError(
    'service/no-unprivileged-user',
    'There is no user `postgres` or `nobody` to run PostgreSQL as',
    {
      remedy: 'Install the package that makes it: apt-get install postgresql-common',
    },
  );
}

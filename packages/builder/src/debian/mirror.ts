// SPDX-License-Identifier: Apache-2.0
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';

/** Base addresses, without a slash at the end. */
export interface DebianArchives {
  /** Holds `dists/trixie`. */
  readonly main: string;
  /** Holds `dists/trixie-security`. */
  readonly security: string;
}

export interface DebianMirrors extends DebianArchives {
  /** The archives as they were at one time: indexes come from there, and the files that the mirrors have no more. */
  readonly snapshot?: DebianArchives;
}

/** One `deb` line or deb822 stanza of apt's sources. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly signedBy: string | undefined;
}

/**
 * The mirrors, and with `MBL_DEBIAN_SNAPSHOT` a snapshot; see `findArchives` and `parseSnapshot`. A snapshot is mirror enough where there
 * is no other.
 */
export const findMirrors = async (
  env: NodeJS.ProcessEnv = process.env,
  etcApt = '/etc/apt',
): Promise<DebianMirrors> => {
  if (!env.MBL_DEBIAN_SNAPSHOT) return findArchives(env, etcApt);
  const snapshot = parseSnapshot(env.MBL_DEBIAN_SNAPSHOT);
  const archives = await findArchives(env, etcApt).catch((error: unknown) => {
    if (env.MBL_DEBIAN_MIRROR) throw error;
    return snapshot;
  });
  return { ...archives, snapshot };
};

/**
 * A snapshot by its address, `<base>/archive/debian/<timestamp>`; the security archive of that time is
 * `<base>/archive/debian-security/<timestamp>`. Throws `builder/no-debian-mirror` for another form.
 */
export const parseSnapshot = (uri: string): DebianArchives => {
  const match = /^(.*\/archive\/debian)\/(\d{8}T\d{6}Z)\/?$/.exec(uri);
  const [, archive = '', time = ''] = match ?? [];
  if (match === null)
    throw new MblError('builder/no-debian-mirror', `"${uri}" is not the address of a snapshot.`, {
      remedy:
        'Set MBL_DEBIAN_SNAPSHOT to an address that ends in archive/debian/<timestamp>, such as archive/debian/20260601T000000Z.',
    });
  return { main: checkUri(`${archive}/${time}`), security: checkUri(`${archive}-security/${time}`) };
};

/**
 * The mirrors: `MBL_DEBIAN_MIRROR` and `MBL_DEBIAN_SECURITY_MIRROR`, or else those that this machine's apt uses for Debian. Without
 * a security mirror of its own the one beside the main mirror is taken (`…/debian` -> `…/debian-security`).
 *
 * Throws `builder/no-debian-mirror` when there is none.
 */
const findArchives = async (env: NodeJS.ProcessEnv, etcApt: string): Promise<DebianArchives> => {
  const sources = env.MBL_DEBIAN_MIRROR ? [] : (await readAptSources(etcApt)).filter(isDebian);
  const main =
    env.MBL_DEBIAN_MIRROR ||
    sources.find((source) => /\/debian\/?$/.test(source.uri) && !isSecurity(source))?.uri;
  if (!main)
    throw new MblError(
      'builder/no-debian-mirror',
      `No Debian mirror is known: apt's sources in ${etcApt} name none.`,
      {
        remedy:
          'Set MBL_DEBIAN_MIRROR to the address of a Debian mirror (the folder that holds dists/ and pool/) and run again.',
      },
    );
  const security =
    env.MBL_DEBIAN_SECURITY_MIRROR || sources.find(isSecurity)?.uri || `${trimSlash(main)}-security`;
  return { main: trimSlash(checkUri(main)), security: trimSlash(checkUri(security)) };
};

/** All binary-package sources of an `/etc/apt` folder, in apt's order; `mirror+file:` lists are replaced by their first entry. */
export const readAptSources = async (etcApt: string): Promise<AptSource[]> => {
  const parts = await readdir(join(etcApt, 'sources.list.d')).catch((): string[] => []);
  const files = ['sources.list', ...parts.toSorted().map((name) => join('sources.list.d', name))];
  const found: AptSource[] = [];
  for (const file of files) {
    const text = await readFile(join(etcApt, file), 'utf8').catch(() => '');
    if (file.endsWith('.list')) found.push(...parseOneLine(text));
    else if (file.endsWith('.sources')) found.push(...parseDeb822(text));
  }
  return Promise.all(found.map(async (source) => ({ ...source, uri: await firstOfMirrorList(source.uri) })));
};

/** `sources.list(5)`, one-line style. */
export const parseOneLine = (text: string): AptSource[] => {
  const found: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[(?<options>[^\]]*)\]\s*)?(?<uri>\S+)\s+(?<suite>\S+)/.exec(line);
    if (!match?.groups) continue;
    const { options = '', uri = '', suite = '' } = match.groups;
    found.push({ uri, suites: [suite], signedBy: /signed-by=(\S+)/i.exec(options)?.[1] });
  }
  return found;
};

/** `sources.list(5)`, deb822 style. */
export const parseDeb822 = (text: string): AptSource[] => {
  const found: AptSource[] = [];
  for (const stanza of text.replace(/^#.*\n?/gm, '').split(/\n\s*\n/)) {
    const field = (name: string): string =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t]+.*)*)`, 'im').exec(stanza)?.[1]?.trim() ?? '';
    if (!field('Types').split(/\s+/).includes('deb') || /^(no|false|0)$/i.test(field('Enabled'))) continue;
    for (const uri of field('URIs').split(/\s+/).filter(Boolean))
      found.push({ uri, suites: field('Suites').split(/\s+/), signedBy: field('Signed-By') || undefined });
  }
  return found;
};

/** Debian's security archive keeps its files below `pool/updates`, the main archive never. */
export const isSecurityFile = ({ path }: { readonly path: string }): boolean =>
  path.startsWith('pool/updates/');

/** The archive that serves a file of the lock. */
export const archiveOf = (file: { readonly path: string }, archives: DebianArchives): string =>
  isSecurityFile(file) ? archives.security : archives.main;

const isDebian = (source: AptSource): boolean =>
  /\/debian(-security)?\/?$/.test(source.uri) || /debian-archive-/.test(source.signedBy ?? '');

const isSecurity = (source: AptSource): boolean =>
  /\/debian-security\/?$/.test(source.uri) || source.suites.every((suite) => suite.endsWith('-security'));

const trimSlash = (uri: string): string => uri.replace(/\/+$/, '');

/** Quotes and spaces would leave the generated `sources.list`; other schemes than these need apt methods of their own. */
const checkUri = (uri: string): string => {
  if (/^(https?|file|copy|ftp):[^\s"'[\]]+$/.test(uri)) return uri;
  throw new MblError('builder/no-debian-mirror', `"${uri}" is not the address of a Debian mirror.`, {
    remedy: 'Set MBL_DEBIAN_MIRROR to an address that starts with http://, https:// or file:/ and run again.',
  });
};

const firstOfMirrorList = async (uri: string): Promise<string> => {
  const path = /^mirror\+file:(?:\/\/)?(\/.*)$/.exec(uri)?.[1];
  if (!path) return uri;
  const text = await readFile(path, 'utf8').catch(() => '');
  return /^\s*([a-z]+:\S+)/m.exec(text)?.[1] ?? uri;
};

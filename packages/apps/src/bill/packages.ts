// SPDX-License-Identifier: Apache-2.0
import { type BillComponent, parseControl, readLicences } from '@mbl/formats';
import type { Spool } from '../layers/spool.ts';
import type { Tree } from '../root/tree.ts';

const mostBytes = 32 * 1024 * 1024;
const mostCopyright = 1024 * 1024;
const mostPackages = 20_000;

/**
 * The packages that an image says it is made of: dpkg's status, also split as in images without a shell, and apk's database. Who copied files into the
 * image by hand is not found. What a database says is the image's own word.
 */
export function findPackages(tree: Tree, spool: Spool): BillComponent[] {
  const read = (path: string, most = mostBytes): string | undefined => {
    const node = tree.find(path);
    if (node?.inode.type !== 'file' || node.inode.content.size > most) return undefined;
    return spool.read(node.inode.content).toString();
  };
  const distribution = /^ID="?([a-z0-9._-]{1,32})"?$/m.exec(
    read('/etc/os-release') ?? read('/usr/lib/os-release') ?? '',
  )?.[1];
  const split = tree.find('/var/lib/dpkg/status.d');
  const parts = [...(split?.children.keys() ?? [])]
    .filter((name) => !name.endsWith('.md5sums'))
    .toSorted()
    .map((name) => read(`/var/lib/dpkg/status.d/${name}`) ?? '');
  const dpkg = [read('/var/lib/dpkg/status') ?? '', ...parts].flatMap((text) =>
    debianPackages(text, distribution ?? 'debian', (name) =>
      read(`/usr/share/doc/${name}/copyright`, mostCopyright),
    ),
  );
  const apk = alpinePackages(
    read('/lib/apk/db/installed') ?? read('/usr/lib/apk/db/installed') ?? '',
    distribution ?? 'alpine',
  );
  return [...dpkg, ...apk].slice(0, mostPackages);
}

function debianPackages(
  status: string,
  distribution: string,
  copyright: (name: string) => string | undefined,
): BillComponent[] {
  return parseControl(status).flatMap((stanza) => {
    const name = stanza.get('Package');
    const version = stanza.get('Version');
    const state = stanza.get('Status');
    if (!isWord(name) || !isWord(version) || (state !== undefined && !state.endsWith(' installed')))
      return [];
    const [from = name, of] = (stanza.get('Source') ?? name).split(' ');
    const sourceVersion = of?.replaceAll(/[()]/g, '') ?? version;
    const url = (each: string, its: string, architecture: string) =>
      `pkg:deb/${distribution}/${encodeURIComponent(each)}@${encodeURIComponent(its)}?arch=${architecture}`;
    return [
      {
        type: 'library',
        name,
        version,
        licences: readLicences(copyright(name) ?? ''),
        purl: url(name, version, stanza.get('Architecture') ?? 'all'),
        hashes: {},
        sources: [{ type: 'source-distribution', url: url(from, sourceVersion, 'source') }],
      } as const,
    ];
  });
}

/** A record a package, a line a field, one letter and a colon before its value (apk-tools, `apk_db`). */
function alpinePackages(database: string, distribution: string): BillComponent[] {
  return database.split(/\n\n+/).flatMap((record) => {
    const field = (letter: string) => new RegExp(`^${letter}:(.+)$`, 'm').exec(record)?.[1]?.trim();
    const [name, version, licence, origin] = [field('P'), field('V'), field('L'), field('o')];
    if (!isWord(name) || !isWord(version)) return [];
    const url = (each: string, architecture: string) =>
      `pkg:apk/${distribution}/${encodeURIComponent(each)}@${encodeURIComponent(version)}?arch=${architecture}`;
    return [
      {
        type: 'library',
        name,
        version,
        licences: licence === undefined ? [] : [licence],
        purl: url(name, field('A') ?? 'aarch64'),
        hashes: {},
        sources: [{ type: 'source-distribution', url: url(origin ?? name, 'source') }],
      } as const,
    ];
  });
}

function isWord(text: string | undefined): text is string {
  return text !== undefined && /^[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,127}$/.test(text);
}

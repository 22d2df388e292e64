// SPDX-License-Identifier: Apache-2.0
import { basename, dirname } from 'node:path';
import { parseControl } from '../debian/control.ts';
import type { Deb } from '../debian/deb.ts';
import { type Component, debianUrl, type Source } from './component.ts';

/** What the lock, or a layer's file, says of a binary package. */
export interface PackageIdentity {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Name and version of the source package, when they differ. */
  readonly source?: string;
}

/**
 * Describes a package from its contents. `open` gives the contents of the packages of its set by name: a package that shares the
 * documentation of another one has only a link to it.
 */
export const describePackage = async (
  item: PackageIdentity,
  deb: Deb,
  open: (name: string) => Promise<Deb | undefined>,
): Promise<Component> => {
  const { name, version, sha256 } = item;
  const copyright = await readCopyright(name, async (each) => (each === name ? deb : open(each)));
  return {
    type: 'library',
    name,
    version,
    licences: copyright === undefined ? [] : readLicences(copyright),
    purl: debianUrl(name, version, deb.control.get('Architecture') ?? 'all'),
    hashes: { 'SHA-256': sha256 },
    sources: readSources(item, deb),
  };
};

/** The source package, and those whose code is inside (Debian Policy §7.8): the kernel's own source is among these. */
const readSources = ({ name, version, source }: PackageIdentity, deb: Deb): Source[] => {
  const [from = name, of = version] = source?.split(' ') ?? [];
  const fields = ['Built-Using', 'Static-Built-Using'].map((field) => deb.control.get(field) ?? '');
  const inside = [...fields.join().matchAll(/([a-z0-9][a-z0-9+.-]*)\s*\(=\s*([^\s)]+)\s*\)/g)];
  const packages = [[from, of], ...inside.map(([, each = '', its = '']) => [each, its])] as const;
  return packages.map(([each = '', its = '']) => ({
    type: 'source-distribution',
    url: debianUrl(each, its, 'source'),
  }));
};

/** `/usr/share/doc/<package>/copyright`, behind the links that packages of one source share it by. */
const readCopyright = async (
  name: string,
  open: (name: string) => Promise<Deb | undefined>,
): Promise<string | undefined> => {
  const seen = new Set<string>();
  for (let owner = name; !seen.has(owner); ) {
    seen.add(owner);
    const files = (await open(owner))?.files ?? [];
    const folder = `usr/share/doc/${owner}`;
    const file = files.find(({ path, type }) => type === 'file' && path === `${folder}/copyright`);
    if (file) return file.data.toString();
    const link = files.find(
      ({ path, type }) => type === 'symlink' && (path === folder || path === `${folder}/copyright`),
    );
    if (!link) return undefined;
    owner = basename(link.path === folder ? link.link : dirname(link.link));
  }
  return undefined;
};

/**
 * The licence names of a machine-readable copyright file (DEP 5); of another one, the texts in /usr/share/common-licenses that it points
 * at, or the licences that it names.
 */
export const readLicences = (copyright: string): string[] => {
  const found = new Set<string>();
  if (/^Format:.*copyright-format/m.test(copyright)) {
    for (const stanza of parseControl(copyright)) {
      const name = stanza.get('License')?.split('\n')[0]?.trim();
      if (name) found.add(name);
    }
  } else
    for (const [, name = ''] of copyright.matchAll(
      /\/usr\/share\/common-licenses\/([A-Za-z0-9.+-]*[A-Za-z0-9+])/g,
    ))
      found.add(name);
  return (found.size > 0 ? [...found] : licencesNamed(copyright)).toSorted();
};

/** "the GNU Lesser General Public License, version 2.1 (or, at your option, any later version)", "3-clause BSD". */
const licencesNamed = (text: string): string[] => {
  const line = text.replaceAll(/\s+/g, ' ');
  const gnu =
    /GNU (Lesser |Library )?General Public License,? version (\d(?:\.\d)?)( ?\(or, at your option, any later)?/gi;
  const names = [
    ...[...line.matchAll(gnu)].map(
      ([, lesser, version, later]) => `${lesser ? 'L' : ''}GPL-${version}${later ? '+' : ''}`,
    ),
    ...[...line.matchAll(/\b([0234])-clause BSD/gi)].map(([, clauses]) => `BSD-${clauses}-clause`),
  ];
  return [...new Set(names)];
};

// SPDX-License-Identifier: Apache-2.0
import { basename, dirname } from 'node:path';
import { type BillComponent, type BillSource, debianUrl, readLicences } from '@mbl/formats';
import type { Deb } from '../debian/deb.ts';

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
): Promise<BillComponent> => {
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
const readSources = ({ name, version, source }: PackageIdentity, deb: Deb): BillSource[] => {
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

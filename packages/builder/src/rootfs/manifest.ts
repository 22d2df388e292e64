// SPDX-License-Identifier: Apache-2.0
import { parseControl } from '../debian/control.ts';
import type { Deb } from '../debian/deb.ts';

/** A part of an image, for its bill of materials. */
export interface Component {
  readonly name: string;
  readonly version: string;
  /** Short names as their source gives them ("GPL-2+", "MIT"); empty when it gives none in a form that a program can read. */
  readonly licences: readonly string[];
  /** Package URL. */
  readonly purl: string;
  /** Hex digests of the file that was fetched, by their names in CycloneDX. */
  readonly hashes: Readonly<Partial<Record<'SHA-256' | 'SHA-512', string>>>;
  readonly source?: { readonly name: string; readonly version: string };
}

/** Reads a package's licences (`/usr/share/doc/<package>/copyright`, which the image does not keep). */
export const describePackage = (
  item: {
    readonly name: string;
    readonly version: string;
    readonly sha256: string;
    readonly source?: string;
  },
  deb: Deb,
): Component => {
  const architecture = deb.control.get('Architecture') ?? 'all';
  const copyright = deb.files.find(
    ({ path, type }) => type === 'file' && path === `usr/share/doc/${item.name}/copyright`,
  );
  const [name = item.name, version = item.version] = item.source?.split(' ') ?? [];
  return {
    name: item.name,
    version: item.version,
    licences: copyright ? readLicences(copyright.data.toString()) : [],
    purl: `pkg:deb/debian/${encodeURIComponent(item.name)}@${encodeURIComponent(item.version)}?arch=${architecture}`,
    hashes: { 'SHA-256': item.sha256 },
    source: { name, version },
  };
};

/** The licence names of a machine-readable copyright file (DEP 5); of another one, the texts in /usr/share/common-licenses it points at. */
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
  return [...found].toSorted();
};

/** CycloneDX 1.6 in JSON. No time and no serial number of chance: the same parts give the same bytes. */
export const formatManifest = (
  image: { readonly name: string; readonly version: string },
  components: readonly Component[],
): string => {
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: 'operating-system', name: image.name, version: image.version } },
    components: components.map(({ name, version, licences, purl, hashes, source }) => ({
      type: 'library',
      'bom-ref': purl,
      name,
      version,
      ...(licences.length > 0 && { licenses: licences.map((licence) => ({ license: { name: licence } })) }),
      purl,
      hashes: Object.entries(hashes).map(([alg, content]) => ({ alg, content })),
      ...(source && {
        properties: [
          { name: 'mbl:source:name', value: source.name },
          { name: 'mbl:source:version', value: source.version },
        ],
      }),
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
};

// SPDX-License-Identifier: Apache-2.0

/** Where the source of a component is: a source package, a published archive, a repository. */
export interface BillSource {
  /** CycloneDX's type of the reference. */
  readonly type: 'source-distribution' | 'vcs';
  readonly url: string;
  readonly sha256?: string;
}

/** A part of an image or of an app, for its bill of materials. */
export interface BillComponent {
  readonly type: 'library' | 'firmware';
  readonly name: string;
  readonly version: string;
  /** Short names as their source gives them ("GPL-2+", "MIT"); empty when it gives none in a form that a program can read. */
  readonly licences: readonly string[];
  /** Package URL. */
  readonly purl: string;
  /** Hex digests of the file that was fetched, by their names in CycloneDX. */
  readonly hashes: Readonly<Partial<Record<'SHA-256' | 'SHA-512', string>>>;
  readonly sources: readonly BillSource[];
}

/** The package URL of a Debian package; a source package has the architecture `source`. */
export const debianUrl = (name: string, version: string, architecture: string): string =>
  `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`;

/** CycloneDX 1.6 in JSON, each component once. No time and no serial number of chance: the same parts give the same bytes. */
export const formatBill = (
  whole: {
    readonly type: 'operating-system' | 'application';
    readonly name: string;
    readonly version: string;
  },
  components: readonly BillComponent[],
): string => {
  const byUrl = new Map(components.map((component) => [component.purl, component]));
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: { type: whole.type, name: whole.name, version: whole.version } },
    components: [...byUrl.values()].toSorted(byNameThenUrl).map((component) => {
      const { type, name, version, licences, purl, hashes, sources } = component;
      return {
        type,
        'bom-ref': purl,
        name,
        version,
        ...(licences.length > 0 && { licenses: licences.map((licence) => ({ license: { name: licence } })) }),
        purl,
        hashes: Object.entries(hashes).map(([alg, content]) => ({ alg, content })),
        externalReferences: sources.map(({ sha256, ...reference }) => ({
          ...reference,
          ...(sha256 !== undefined && { hashes: [{ alg: 'SHA-256', content: sha256 }] }),
        })),
      };
    }),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
};

const byNameThenUrl = (a: BillComponent, b: BillComponent): number => {
  const [one, two] = a.name === b.name ? [a.purl, b.purl] : [a.name, b.name];
  return one < two ? -1 : 1;
};

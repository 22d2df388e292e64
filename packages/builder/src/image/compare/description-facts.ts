// SPDX-License-Identifier: Apache-2.0
import { type Extent, type ImageDescription, type JsonRecord, readRecord } from '@mbl/formats';
import { type Facts, shortDigest } from './facts.ts';

/** Bytes of a file beside the image that are looked at. */
export const maxTextBytes = 16 << 20;

/** What was measured of an image, for the places of `image.json` that say the same. */
export interface Measured {
  /** SHA-256, hex. */
  readonly flash: string;
  readonly fit: string;
  readonly rootHash: string;
  /** Where parts were found, of the flash and of the FIT. */
  readonly parts: readonly Extent[];
}

/**
 * Says what `image.json` says. Taken out: digests and places of parts where they are those of the parts that stand beside it; from texts
 * what `meaningOf` takes out.
 */
export function addDescription(
  facts: Facts,
  description: ImageDescription,
  measured: Measured,
  meaningOf: (text: string) => string,
): void {
  const digests = new Set([measured.flash, measured.fit, measured.rootHash]);
  const places = new Set(measured.parts.map(placeOf));
  const visit = (value: unknown, path: string): void => {
    if (isExtent(value) && places.has(placeOf(value)))
      facts.add('image.json', path, placeOf(value), 'where the part stands');
    else if (typeof value === 'string' && digests.has(value))
      facts.add('image.json', path, value, 'digest of the part');
    else if (typeof value === 'object' && value !== null)
      for (const [key, child] of Object.entries(value)) visit(child, path === '' ? key : `${path}.${key}`);
    else facts.add('image.json', path, String(value), meaningOf(String(value)));
  };
  visit(description, '');
}

function isExtent(value: unknown): value is Extent {
  return typeof value === 'object' && value !== null && 'offset' in value && 'size' in value;
}

function placeOf({ offset, size }: Extent): string {
  return `${size} bytes at ${offset}`;
}

/** Says which parts the bill of materials (CycloneDX) lists, with their versions. Throws `builder/bad-image-file`. */
export function addMaterials(facts: Facts, text: string, path: string): void {
  facts.add('packages.cdx.json', 'content', shortDigest(Buffer.from(text)));
  for (const component of open(text, path).objects('components', 10_000))
    facts.add(
      `packages.cdx.json/${component.string('type')}/${component.string('name')}`,
      'version',
      component.string('version'),
    );
}

/** Says which packages and sources each lock of `lock.json` names. Throws `builder/bad-image-file`. */
export function addLocks(facts: Facts, text: string, path: string): void {
  facts.add('lock.json', 'content', shortDigest(Buffer.from(text)));
  for (const [lock, content] of open(text, path).entries('locks', 100))
    for (const kind of ['packages', 'sources'])
      for (const locked of content.objects(kind, 10_000))
        facts.add(`lock.json/${lock}/${locked.string('name')}`, 'version', locked.string('version'));
}

function open(text: string, path: string): JsonRecord {
  return readRecord(text, {
    path,
    code: 'builder/bad-image-file',
    remedy: 'Build the image again with: ./mbl build',
    most: maxTextBytes,
  });
}

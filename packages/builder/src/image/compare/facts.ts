// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';

/** How a fact of one image stands to the same fact of another. `only-a`, `only-b`: the place is in one of them. */
export type DifferenceKind = 'content' | 'signature' | 'only-a' | 'only-b';

export interface Difference {
  readonly kind: DifferenceKind;
  /** `flash/bl2`, `fit/kernel`, `root/usr/bin/crun`. */
  readonly place: string;
  /** What of the place: `content`, `mode`, `signature`. */
  readonly aspect: string;
  /** What it is in the first and the second image; undefined where it is not there. */
  readonly a?: string;
  readonly b?: string;
}

interface Fact {
  readonly exact: string;
  readonly meaning: string;
}

/**
 * What can be said of an image: for each place some aspects, each as it stands and with its meaning, in which keys and signatures, and
 * what follows from them, are taken out. Places and aspects are texts that a person reads.
 */
export class Facts {
  readonly #places = new Map<string, Map<string, Fact>>();

  add(place: string, aspect: string, exact: string | number, meaning: string | number = exact): void {
    const aspects = this.#places.get(place) ?? new Map<string, Fact>();
    this.#places.set(place, aspects.set(aspect, { exact: String(exact), meaning: String(meaning) }));
  }

  /** Size and content of bytes. `meaning` are the same bytes with keys and signatures taken out. */
  addBytes(place: string, bytes: Uint8Array, meaning: Uint8Array = bytes): void {
    this.add(place, 'size', bytes.length, meaning.length);
    const digest = shortDigest(bytes);
    this.add(place, 'content', digest, meaning === bytes ? digest : shortDigest(meaning));
  }

  /** Every difference between this and `other`, sorted by place. */
  compare(other: Facts): Difference[] {
    const differences: Difference[] = [];
    for (const place of new Set([...this.#places.keys(), ...other.#places.keys()])) {
      const [mine, theirs] = [this.#places.get(place), other.#places.get(place)];
      if (mine === undefined || theirs === undefined) {
        differences.push({ kind: mine === undefined ? 'only-b' : 'only-a', place, aspect: 'presence' });
        continue;
      }
      for (const aspect of new Set([...mine.keys(), ...theirs.keys()])) {
        const [a, b] = [mine.get(aspect), theirs.get(aspect)];
        if (a?.exact === b?.exact && a?.meaning === b?.meaning) continue;
        const kind = a?.meaning === b?.meaning ? 'signature' : 'content';
        differences.push({
          ...{ kind, place, aspect },
          ...(a === undefined ? {} : { a: a.exact }),
          ...(b === undefined ? {} : { b: b.exact }),
        });
      }
    }
    return differences.toSorted((x, y) => order(x.place, y.place) || order(x.aspect, y.aspect));
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The first 128 bits of the SHA-256, hex: enough to tell that contents differ, and short enough to read. */
export function shortDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** The bytes with each occurrence of `from` replaced by zeros. */
export function without(bytes: Uint8Array, from: Uint8Array | undefined): Uint8Array {
  if (from === undefined || from.length === 0) return bytes;
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = source.indexOf(from);
  if (at < 0) return bytes;
  const copy = Buffer.from(source);
  for (; at >= 0; at = source.indexOf(from, at + from.length)) copy.fill(0, at, at + from.length);
  return copy;
}

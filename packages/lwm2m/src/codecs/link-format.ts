// SPDX-License-Identifier: Apache-2.0
import type { Path } from '../path.ts';
import { parsePath } from '../path.ts';
import { checkSize, decodeUtf8, limits, malformed } from './limits.ts';

/** One link of a CoRE link-format document (RFC 6690 §2). */
export interface Link {
  /** As written between `<` and `>`, for example `/3/0`. */
  target: string;
  /** Attributes in order; `null` where there is no value (`obs`). Quotes are removed. */
  attributes: ReadonlyMap<string, string | null>;
}

const format = 'application/link-format';
const target = /\s*<([^<>\p{Cc}]*)>\s*/uy;
/** RFC 6690 §2: a parmname with an optional value, quoted or a ptoken. */
const attribute =
  /;\s*([\w!#$&+\-.^`|~*]{1,64})(?:\s*=\s*(?:"([^"\\]*(?:\\[^][^"\\]*)*)"|([\w!#$%&'()*+\-./:<=>?@[\]^`{|}~]+)))?\s*/y;

/** Throws only `Lwm2mError`. An attribute that is repeated keeps its first value. */
export function decodeLinks(payload: Uint8Array): Link[] {
  checkSize(payload);
  const text = decodeUtf8(payload, format);
  const links: Link[] = [];
  if (text.trim() === '') return links;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };
  while (true) {
    const [, uri] = take(target) ?? [];
    if (uri === undefined) throw malformed(format, `expected a link at character ${at}`);
    const attributes = new Map<string, string | null>();
    for (let match = take(attribute); match !== null; match = take(attribute)) {
      const [, name = '', quoted, token] = match;
      if (!attributes.has(name)) attributes.set(name, quoted?.replaceAll(/\\([^])/g, '$1') ?? token ?? null);
      if (attributes.size > limits.attributesPerLink)
        throw malformed(format, 'a link has too many attributes');
    }
    links.push({ target: uri, attributes });
    if (links.length > limits.links) throw malformed(format, `more than ${limits.links} links`);
    if (at === text.length) return links;
    if (text[at] !== ',') throw malformed(format, `unexpected character ${at}`);
    at += 1;
  }
}

/** Numbers stay bare (`ver=1.1`, `pmin=10`), everything else is quoted. */
const bare = /^-?[\d.]+$/;

export function encodeLinks(links: readonly Link[]): Uint8Array {
  const text = links.map(({ target: uri, attributes }) => {
    const written = [...attributes].map(([name, value]) => {
      if (value === null) return `;${name}`;
      return bare.test(value) ? `;${name}=${value}` : `;${name}="${value.replaceAll(/["\\]/g, '\\$&')}"`;
    });
    return `<${uri}>${written.join('')}`;
  });
  return new TextEncoder().encode(text.join(','));
}

/** The LwM2M path that a link names, below `root` (LwM2M Core 1.1 §6.2.1); undefined when it names something else. */
export function linkPath(link: Link, root = '/'): Path | undefined {
  const prefix = root === '/' ? '' : root;
  if (!link.target.startsWith(`${prefix}/`)) return undefined;
  try {
    return parsePath(link.target.slice(prefix.length));
  } catch {
    return undefined;
  }
}

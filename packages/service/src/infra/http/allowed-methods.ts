// SPDX-License-Identifier: Apache-2.0

/** Which methods each path of an API answers: what a 405 owes its caller (RFC 9110 §15.5.6). */
export class AllowedMethods {
  readonly #byUrl = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  /** `url` as in a route: `:name` stands for one segment, a final `*` for the rest. */
  add(url: string, methods: string | readonly string[]): void {
    const known = this.#byUrl.get(url) ?? { pattern: patternOf(url), methods: new Set<string>() };
    this.#byUrl.set(url, known);
    for (const method of [methods].flat()) known.methods.add(method);
  }

  /** In alphabetical order; none for a path that is not there. A final slash says nothing. */
  of(path: string): string[] {
    const plain = path.length > 1 ? path.replace(/\/$/, '') : path;
    const found = [...this.#byUrl.values()].filter(({ pattern }) => pattern.test(plain));
    return [...new Set(found.flatMap(({ methods }) => [...methods]))].toSorted();
  }
}

function patternOf(url: string): RegExp {
  const segments = url.split('/').map((segment) => {
    if (segment === '*') return '.*';
    return segment.startsWith(':') ? '[^/]+' : RegExp.escape(segment);
  });
  return new RegExp(`^${segments.join('/')}$`);
}

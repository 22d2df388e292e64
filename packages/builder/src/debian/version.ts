// SPDX-License-Identifier: Apache-2.0

/**
 * Compares two versions of Debian packages: negative when `a` is older, 0 when they are equal, positive when `a` is newer (Debian Policy
 * §5.6.12). What is no version is compared all the same: nothing is thrown.
 */
export function compareVersions(a: string, b: string): number {
  const one = split(a);
  const other = split(b);
  return (
    compareNumbers(one.epoch, other.epoch) ||
    comparePart(one.upstream, other.upstream) ||
    comparePart(one.revision, other.revision)
  );
}

function split(version: string): { epoch: string; upstream: string; revision: string } {
  const colon = version.indexOf(':');
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  return {
    epoch: version.slice(0, Math.max(colon, 0)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  };
}

/** Runs of other characters and runs of digits by turns, until one differs. */
function comparePart(a: string, b: string): number {
  const one = runs(a);
  const other = runs(b);
  for (let i = 0; i < Math.max(one.length, other.length); i += 1) {
    const [x, y] = [one[i] ?? '', other[i] ?? ''];
    const order = i % 2 === 0 ? compareText(x, y) : compareNumbers(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

/** `1.2a` -> `''`, `1`, `.`, `2`, `a`, `''`. */
function runs(part: string): string[] {
  return [...part.matchAll(/(\D*)(\d*)/g)].flatMap(([, text = '', digits = '']) => [text, digits]);
}

/** Of any length, so not by their value as a JavaScript number. */
function compareNumbers(a: string, b: string): number {
  const one = a.replace(/^0+/, '');
  const other = b.replace(/^0+/, '');
  return one.length - other.length || (one < other ? -1 : one > other ? 1 : 0);
}

/** A tilde sorts before everything, also before the end; letters sort before all other characters. */
function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const order = weight(a[i]) - weight(b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function weight(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === '~') return -1;
  const code = character.codePointAt(0) ?? 0;
  return /[A-Za-z]/.test(character) ? code : code + 256;
}

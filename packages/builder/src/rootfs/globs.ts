// SPDX-License-Identifier: Apache-2.0

/**
 * A test for paths. `*` stands for anything in one part of a path, `**` for anything; a pattern ending in `/` means all that is below the
 * folder and the folder itself.
 */
export const matcher = (patterns: readonly string[]): ((path: string) => boolean) => {
  if (patterns.length === 0) return () => false;
  const expressions = patterns.map((pattern) => {
    const folder = pattern.endsWith('/');
    const body = (folder ? pattern.slice(0, -1) : pattern)
      .replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll(/\*\*|\*/g, (stars) => (stars === '**' ? '.*' : '[^/]*'));
    return folder ? `${body}(?:/.*)?` : body;
  });
  const expression = new RegExp(`^(?:${expressions.join('|')})$`);
  return (path) => expression.test(path);
};

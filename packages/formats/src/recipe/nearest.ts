// SPDX-License-Identifier: Apache-2.0

/** The name of `names` that a person most likely meant by `wrong`, or undefined when none is close. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(wrong.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const name of names) {
    if (Math.abs(name.length - wrong.length) >= bestDistance) continue;
    const distance = editDistance(wrong.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** One sentence that helps after a wrong name: the nearest right one, or all of them when they are few. */
export function suggestion(wrong: string, names: Iterable<string>, kind: string): string {
  const all = [...names].toSorted();
  const near = nearest(wrong, all);
  const listed = all.length > 0 && all.length <= 24 ? `${kind} here: ${all.join(', ')}.` : '';
  const guess = near === undefined ? '' : `Did you mean "${near}"?`;
  return [guess, listed].filter((part) => part !== '').join(' ');
}

/** Insertions, deletions, replacements and exchanges of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    [beforeLast, last] = [last, row];
  }
  return last[b.length] ?? 0;
}

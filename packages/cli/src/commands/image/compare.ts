// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import type { Difference } from '@mbl/builder';
import type { Output } from '../../output.ts';
import { flag, required, verb } from '../../verb.ts';

const headlines = {
  identical: 'identical',
  signatures: 'same but signatures',
  different: 'different',
} as const;

/** Lines of a table on a screen; `--json` has them all. */
const mostLines = 60;

export const compareImages = verb({
  name: 'compare',
  description: 'say whether two images differ in anything but keys and signatures, and where',
  arguments: {
    first: required('the folder of an image: what ./mbl build names at its end'),
    second: required('the folder of the other one'),
  },
  options: { signatures: flag('list the differences of keys and signatures too') },
  more: 'Exit code 0: identical, or the same but keys and signatures; 1: different.',
  async run({ output, workspace, signal }, { first, second, signatures }) {
    const { compareImages: compare } = await import('@mbl/builder');
    const comparison = await output.progress.phase(
      'compare images',
      async (report) =>
        await compare(resolve(first), resolve(second), {
          osDirectory: `${workspace.root}/os`,
          cache: workspace.cache,
          signal,
          onPhase: (what) => report(undefined, what),
        }),
      () => ({ quiet: true }),
    );
    const { verdict, keys, differences } = comparison;
    output.value(comparison);
    output.line(headlines[verdict]);
    if (keys.length > 0) output.line(`signed by other keys: ${keys.join(', ')}`);
    const content = differences.filter(({ kind }) => kind !== 'signature');
    print(output, signatures ? differences : content);
    const rest = differences.length - content.length;
    if (rest > 0 && !signatures)
      output.line(`${rest} differences of keys and signatures; --signatures lists them`);
    return verdict === 'different' ? 1 : 0;
  },
});

function print(output: Output, differences: readonly Difference[]): void {
  if (differences.length === 0) return;
  const rows = differences
    .slice(0, mostLines)
    .map(({ place, aspect, kind, a, b }) =>
      kind === 'only-a' || kind === 'only-b'
        ? [place, '', ...(kind === 'only-a' ? ['there', '-'] : ['-', 'there'])]
        : [place, aspect, short(a), short(b)],
    );
  output.table(['WHERE', 'WHAT', 'FIRST', 'SECOND'], rows);
  if (differences.length > mostLines)
    output.line(`and ${differences.length - mostLines} more; --json lists them all`);
}

/** A value as it fits into a line: control characters escaped, the rest cut off. */
function short(value: string | undefined): string {
  if (value === undefined) return '-';
  const text = value.replaceAll(/\p{Cc}/gu, ' ');
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

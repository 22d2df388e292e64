// SPDX-License-Identifier: Apache-2.0
import { parseControl } from './control.ts';

/**
 * The licence names of a machine-readable copyright file (DEP 5); of another one, the texts in /usr/share/common-licenses that it points
 * at, or the licences that it names.
 */
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
  return (found.size > 0 ? [...found] : licencesNamed(copyright)).toSorted();
};

/** "the GNU Lesser General Public License, version 2.1 (or, at your option, any later version)", "3-clause BSD". */
const licencesNamed = (text: string): string[] => {
  const line = text.replaceAll(/\s+/g, ' ');
  const gnu =
    /GNU (Lesser |Library )?General Public License,? version (\d(?:\.\d)?)( ?\(or, at your option, any later)?/gi;
  const names = [
    ...[...line.matchAll(gnu)].map(
      ([, lesser, version, later]) => `${lesser ? 'L' : ''}GPL-${version}${later ? '+' : ''}`,
    ),
    ...[...line.matchAll(/\b([0234])-clause BSD/gi)].map(([, clauses]) => `BSD-${clauses}-clause`),
  ];
  return [...new Set(names)];
};

// SPDX-License-Identifier: Apache-2.0

/** A stanza of a Debian control file: field names as written, continuation lines joined by newlines. */
export type Stanza = ReadonlyMap<string, string>;

/** Debian Policy §5.1. Lines that are no field are left out: nothing here is rejected, what is missing is noticed by its user. */
export const parseControl = (text: string): Stanza[] => {
  const stanzas: Map<string, string>[] = [];
  let stanza: Map<string, string> | undefined;
  let field: string | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') {
      stanza = undefined;
      field = undefined;
      continue;
    }
    if (line.startsWith('#')) continue;
    if (/^[ \t]/.test(line)) {
      if (stanza && field) stanza.set(field, `${stanza.get(field) ?? ''}\n${line.slice(1)}`);
      continue;
    }
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    if (!stanza) {
      stanza = new Map();
      stanzas.push(stanza);
    }
    field = line.slice(0, colon);
    stanza.set(field, line.slice(colon + 1).trim());
  }
  return stanzas;
};

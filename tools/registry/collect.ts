// SPDX-License-Identifier: Apache-2.0
import { type ObjectFile, type RegistryObject, readObjectFile } from './object-file.ts';
import { XmlError } from './xml-tree.ts';

/** From here on the identifiers are those of single makers (LwM2M Core 1.1 §7.1). */
const firstOfMakers = 10_241;

export interface Collection {
  /** Of each object and each major version the newest definition, by identifier and version. */
  readonly objects: readonly RegistryObject[];
  /** `2019 Open Mobile Alliance`, each once. */
  readonly copyrights: readonly string[];
  /** What is not in it, and why: a line each. */
  readonly leftOut: readonly string[];
}

/** What is kept of the registry: objects of OMA and of standards bodies, from files that are under the BSD-3-Clause licence. */
export function collect(files: Iterable<{ readonly name: string; readonly text: string }>): Collection {
  const newest = new Map<string, ObjectFile>();
  const leftOut: string[] = [];
  for (const { name, text } of files) {
    for (const file of read(name, text, leftOut)) {
      if (file.object.id >= firstOfMakers) continue;
      if (file.copyright === undefined) {
        leftOut.push(`${name}: no notice of the BSD-3-Clause licence`);
        continue;
      }
      const [major = 0, minor = 0] = numbers(file.object.version);
      const key = `${file.object.id}/${major}`;
      const known = newest.get(key);
      if (known === undefined || (numbers(known.object.version)[1] ?? 0) < minor) newest.set(key, file);
    }
  }
  const kept = [...newest.values()].toSorted(
    ({ object: a }, { object: b }) =>
      a.id - b.id || (numbers(a.version)[0] ?? 0) - (numbers(b.version)[0] ?? 0),
  );
  for (const { object, skipped } of kept)
    for (const what of skipped) leftOut.push(`object ${object.id} ${object.version}: ${what}`);
  const copyrights = new Set(
    kept.flatMap(({ copyright = '' }) => copyright.replace(/[.\s]*(?:All rights reserved\.?)?\s*$/i, '')),
  );
  return { objects: kept.map(({ object }) => object), copyrights: [...copyrights].toSorted(), leftOut };
}

function read(name: string, text: string, leftOut: string[]): ObjectFile[] {
  try {
    return readObjectFile(text);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    leftOut.push(`${name}: ${error.message}`);
    return [];
  }
}

function numbers(version: string): number[] {
  return version.split('.').map(Number);
}

/** The data file: a resource a line, so that a newer registry shows what it changes. */
export function render({ objects, copyrights }: Collection, commit: string): string {
  const head = {
    source: 'OMA LwM2M registry, OpenMobileAlliance/lwm2m-registry',
    commit,
    licence: 'BSD-3-Clause, in oma-objects.license.txt',
    copyrights,
  };
  const lines = objects.map(({ resources, ...object }) => {
    const rows = resources.map((row) => `      ${JSON.stringify(row)}`);
    return `    { ${JSON.stringify(object).slice(1, -1)}, "resources": [\n${rows.join(',\n')}\n    ] }`;
  });
  const fields = Object.entries(head).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)},`,
  );
  return `{\n${fields.join('\n')}\n  "objects": [\n${lines.join(',\n')}\n  ]\n}\n`;
}

// SPDX-License-Identifier: Apache-2.0
import type { ObjectDefinition, ResourceRow } from '@mbl/lwm2m';
import { readXml, type XmlElement, XmlError } from './xml-tree.ts';

export type RegistryObject = Omit<ObjectDefinition, 'resources'> & {
  readonly resources: readonly ResourceRow[];
};

/** What a file of the registry says of one object. */
export interface ObjectFile {
  readonly object: RegistryObject;
  /** Who holds the rights, by the file's own notice; undefined for a file that is not under the BSD-3-Clause licence. */
  readonly copyright: string | undefined;
  /** What the file says against its schema: these resources are left out. */
  readonly skipped: readonly string[];
}

/** By the registry's schema LWM2M-v1_1.xsd, in lower case. */
const types: Readonly<Record<string, ResourceRow[5]>> = {
  string: 'string',
  integer: 'integer',
  'unsigned integer': 'unsigned',
  float: 'float',
  boolean: 'boolean',
  opaque: 'opaque',
  time: 'time',
  objlnk: 'objlnk',
  corelnk: 'corelnk',
};
const operations = ['', 'R', 'W', 'RW', 'E'] as const;

/** Reads one XML file of the registry, every object of it. Throws `XmlError`. */
export function readObjectFile(text: string): ObjectFile[] {
  const { root, comments } = readXml(text);
  if (root.name !== 'LWM2M') throw new XmlError(`the element at the top is ${root.name}, not LWM2M`);
  const copyright = copyrightOf(comments);
  return root.children.filter(({ name }) => name === 'Object').map((object) => readObject(object, copyright));
}

function copyrightOf(comments: readonly string[]): string | undefined {
  const notice = comments.find((one) => /redistribution and use in source and binary forms/i.test(one));
  const isBsd3 = notice !== undefined && /neither the name of/i.test(notice);
  return isBsd3 ? /copyright\s+(?:\(c\)\s*)?(\d{4}[^\n]*)/i.exec(notice)?.[1]?.trim() : undefined;
}

function readObject(object: XmlElement, copyright: string | undefined): ObjectFile {
  const skipped: string[] = [];
  const resources = child(object, 'Resources')
    .children.filter(({ name }) => name === 'Item')
    .flatMap((item) => readResource(item, skipped));
  const version = optional(object, 'ObjectVersion') || '1.0';
  if (!/^\d{1,3}\.\d{1,3}$/.test(version)) throw at(object, `the version ${version}`);
  return {
    object: {
      id: number(child(object, 'ObjectID').text, object),
      name: child(object, 'Name').text,
      version,
      multiple: oneOf(object, 'MultipleInstances', 'Multiple', 'Single'),
      mandatory: oneOf(object, 'Mandatory', 'Mandatory', 'Optional'),
      resources: resources.toSorted(([a], [b]) => a - b),
    },
    copyright,
    skipped,
  };
}

function readResource(item: XmlElement, skipped: string[]): ResourceRow[] {
  const id = number(item.attributes['ID'] ?? '', item);
  const written = child(item, 'Operations').text.toUpperCase();
  const allowed = operations.find((one) => one === written);
  if (allowed === undefined) throw at(item, `the operations ${written}`);
  const said = child(item, 'Type').text.toLowerCase();
  const type = allowed === 'E' ? 'none' : types[said];
  if (type === undefined) {
    skipped.push(`resource ${id} has the type "${said}"`);
    return [];
  }
  const [units, range] = [optional(item, 'Units'), optional(item, 'RangeEnumeration')];
  const row: ResourceRow = [
    id,
    child(item, 'Name').text,
    allowed,
    oneOf(item, 'MultipleInstances', 'Multiple', 'Single') ? 'multiple' : 'single',
    oneOf(item, 'Mandatory', 'Mandatory', 'Optional') ? 'mandatory' : 'optional',
    type,
    ...(range === '' ? (units === '' ? ([] as const) : ([units] as const)) : ([units, range] as const)),
  ];
  return [row];
}

function child(parent: XmlElement, name: string): XmlElement {
  const found = parent.children.filter((one) => one.name === name);
  const [first] = found;
  if (first === undefined || found.length > 1) throw at(parent, `${found.length} elements ${name}`);
  return first;
}

function optional(parent: XmlElement, name: string): string {
  return parent.children.find((one) => one.name === name)?.text ?? '';
}

/** Whether the element says `yes`; false when it says `no`. */
function oneOf(parent: XmlElement, name: string, yes: string, no: string): boolean {
  const { text } = child(parent, name);
  if (text !== yes && text !== no) throw at(parent, `${name} ${text}`);
  return text === yes;
}

function number(text: string, element: XmlElement): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_534) throw at(element, `the identifier "${text}"`);
  return Number(text);
}

function at({ line }: XmlElement, what: string): XmlError {
  return new XmlError(`line ${line}: ${what}`);
}

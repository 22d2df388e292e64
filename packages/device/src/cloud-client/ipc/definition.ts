// SPDX-License-Identifier: Apache-2.0
import type { AppResource } from '@mbl/formats';
import type { Lwm2mValue } from '@mbl/lwm2m';
import { BusError } from './bus-error.ts';
import { fromJson, lwm2mType } from './values.ts';

/** Characters of a definition. */
export const longestDefinition = 65_536;

/** A resource as an app registers it: one that its signed `app.json` lists. */
export interface DefinedResource extends AppResource {
  readonly name: string;
  readonly units: string;
  readonly value: Lwm2mValue | undefined;
}

/**
 * Reads what an app registers: `{"3303":{"0":{"5700":{"name":…,"units":…,"value":…}}}}`, all members optional. '' is all that `app.json` lists. What is not
 * known is refused: a mistake shows at once. Throws `com.mbl.Error.BadDefinition`; `NotListed` for what `app.json` does not have.
 */
export function readDefinition(text: string, listed: readonly AppResource[]): DefinedResource[] {
  if (text === '') return listed.map((one) => ({ ...one, name: '', units: '', value: undefined }));
  if (text.length > longestDefinition)
    throw new BusError('BadDefinition', `a definition has at most ${longestDefinition} characters`);
  const byPath = new Map(listed.map((one) => [one.path, one]));
  return membersOf(parse(text), 'the definition').flatMap(([object, instances]) =>
    membersOf(instances, `/${object}`).flatMap(([instance, resources]) =>
      membersOf(resources, `/${object}/${instance}`).map(([resource, members]) => {
        const path = `/${object}/${instance}/${resource}`;
        const found = byPath.get(path);
        if (found === undefined)
          throw new BusError('NotListed', `app.yaml does not list ${path.slice(0, 64)}`);
        return readResource(found, members);
      }),
    ),
  );
}

function readResource(listed: AppResource, members: unknown): DefinedResource {
  const { path, type } = listed;
  const given = new Map(membersOf(members, path));
  const text = (member: string, most: number): string => {
    const value = given.get(member) ?? '';
    given.delete(member);
    if (typeof value === 'string' && value.length <= most && /^[^\p{Cc}]*$/u.test(value)) return value;
    throw bad(`"${member}" of ${path} is a text of at most ${most} characters`);
  };
  const [name, units] = [text('name', 128), text('units', 32)];
  if (given.has('type') && given.get('type') !== type) throw bad(`${path} is of the type ${type}`);
  given.delete('type');
  const initial = given.get('value');
  const value = initial === undefined ? undefined : fromJson(initial, lwm2mType(type));
  given.delete('value');
  const [unknown] = given.keys();
  if (unknown !== undefined) throw bad(`${path} has no member "${unknown.slice(0, 32)}"`);
  return { ...listed, name, units, value };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad('the definition is not JSON');
  }
}

function membersOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw bad(`${what.slice(0, 64)} must be an object`);
}

function bad(text: string): BusError {
  return new BusError('BadDefinition', text);
}

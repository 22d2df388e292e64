// SPDX-License-Identifier: Apache-2.0
import {
  formatPath,
  type Lwm2mValue,
  type Node,
  type ObjectModel,
  type Path,
  type ResourceType,
  textToValue,
  valueToText,
} from '@mbl/lwm2m';
import { z } from 'zod';
import { invalid } from '../../infra/http/errors.ts';

const types = [
  'string',
  'integer',
  'unsigned',
  'float',
  'boolean',
  'opaque',
  'time',
  'objlnk',
  'corelnk',
] as const;

/** A value of a resource in JSON: opaque is base64, a link `3:0`, an integer beyond 2^53 text. */
export const resourceValue = z
  .object({
    path: z.string(),
    value: z.union([z.string(), z.number(), z.boolean()]),
    type: z.string(),
    name: z.string().optional().describe("The resource's name in the OMA registry"),
    units: z.string().optional(),
  })
  .meta({ id: 'ResourceValue' });

export type ResourceValue = z.infer<typeof resourceValue>;

export const writtenValue = z.object({
  value: z.union([z.string().max(1_400_000), z.number(), z.boolean()]),
  type: z.enum(types).optional().describe('For a resource that is in no object that the service knows'),
});

export function toResourceValue({ path, value }: Node, model: ObjectModel): ResourceValue {
  const definition = model.resource(path);
  return {
    path: formatPath(path),
    value: toJson(value),
    type: definition?.type ?? typeOf(value),
    ...(definition === undefined ? {} : { name: definition.name }),
    ...(definition?.units === undefined ? {} : { units: definition.units }),
  };
}

function toJson(value: Lwm2mValue): string | number | boolean {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  // JSON has no NaN and no infinity.
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  return valueToText(value);
}

function typeOf(value: Lwm2mValue): ResourceType {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'float';
  if (typeof value === 'bigint') return 'integer';
  return value instanceof Uint8Array ? 'opaque' : 'objlnk';
}

/** A value for a path, as a caller wrote it. */
export type WrittenValue = z.infer<typeof writtenValue> & { readonly path: Path };

/** What a caller wrote, as a node of the device's resource, or of the type that the caller says. Throws a validation error where it is no such value. */
export function toNode(written: WrittenValue, model: ObjectModel): Node {
  const { path, type } = written;
  return { path, value: fromJson(written, model), ...(type !== undefined && { type }) };
}

/** Text is read as the resource's type. */
function fromJson({ path, value, type }: WrittenValue, model: ObjectModel): Lwm2mValue {
  const wanted = model.resource(path)?.type ?? type;
  if (wanted === 'none')
    throw invalid([{ name: 'value', message: 'The resource is executed; it has no value' }]);
  if (isInteger(wanted) && Number.isInteger(value) && !Number.isSafeInteger(value))
    throw invalid([{ name: 'value', message: 'An integer beyond 2^53 is exact only as text' }]);
  if (typeof value !== 'string') return value;
  if (wanted === undefined || wanted === 'string') return value;
  const text = wanted === 'boolean' ? ({ true: '1', false: '0' }[value] ?? value) : value;
  try {
    return textToValue(text, wanted);
  } catch (cause) {
    throw invalid([{ name: 'value', message: `Not of the type ${wanted}` }], cause);
  }
}

function isInteger(type: ResourceType | undefined): boolean {
  return type === 'integer' || type === 'unsigned' || type === 'time';
}

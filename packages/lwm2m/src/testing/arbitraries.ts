// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { standardModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import { comparePaths } from '../path.ts';
import type { Lwm2mValue, ResourceType } from '../values.ts';
import { compactInteger } from '../values.ts';

const wellFormed = fc.string({ unit: 'grapheme' });
const signed = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(compactInteger);
const linkId = fc.integer({ min: 0, max: 0xffff });

/** Values of a type. Minus zero is left out: integer encodings do not know it. */
export function valueOf(type: ResourceType): fc.Arbitrary<Lwm2mValue> {
  switch (type) {
    case 'string':
    case 'corelnk':
      return wellFormed;
    case 'integer':
    case 'time':
      return signed;
    case 'unsigned':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(compactInteger);
    case 'float':
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
    case 'boolean':
      return fc.boolean();
    case 'opaque':
      return fc.uint8Array({ maxLength: 300 });
    case 'objlnk':
      return fc.record({ objectId: linkId, instanceId: linkId }, { noNullPrototype: true });
    case 'none':
      throw new Error('an executable resource has no value');
  }
}

/** The nodes of one instance of a standard object, in ascending order. */
export const instanceNodes: fc.Arbitrary<{ base: [number, number]; nodes: Node[] }> = fc
  .tuple(fc.constantFrom(...standardModel.objects), fc.integer({ min: 0, max: 65534 }))
  .chain(([definition, instanceId]) => {
    const base: [number, number] = [definition.id, instanceId];
    const resources = definition.resources.filter(({ type }) => type !== 'none');
    return fc
      .subarray(resources, { minLength: 1 })
      .chain((chosen) =>
        fc.tuple(
          ...chosen.map(({ id, type, multiple }) =>
            multiple
              ? fc
                  .uniqueArray(fc.tuple(fc.integer({ min: 0, max: 65534 }), valueOf(type)), {
                    minLength: 1,
                    maxLength: 4,
                    selector: ([instance]) => instance,
                  })
                  .map((entries) =>
                    entries.map(([instance, value]) => ({ path: [...base, id, instance], value })),
                  )
              : valueOf(type).map((value) => [{ path: [...base, id], value }]),
          ),
        ),
      )
      .map((groups) => ({ base, nodes: groups.flat().toSorted((a, b) => comparePaths(a.path, b.path)) }));
  });

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectDefinition, ResourceRow } from '../model/definition.ts';
import { resourceTable } from '../model/definition.ts';
import { standardModel } from '../model/model.ts';
import data from './oma-objects.json' with { type: 'json' };
import { ObjectRegistry, omaRegistry } from './registry.ts';

const types = new Set('string integer unsigned float boolean opaque time objlnk corelnk none'.split(' '));
const usual = omaRegistry.model(new Map());

test('every row of the data is one of a definition', () => {
  assert.match(data.commit, /^[0-9a-f]{40}$/);
  assert.ok(data.objects.length > 180);
  const versions = data.objects.map(({ id, version }) => `${id} ${version.split('.')[0]}`);
  assert.equal(new Set(versions).size, versions.length);
  for (const { id, version, name, resources } of data.objects) {
    const what = `object ${id} ${version}`;
    assert.ok(name !== '' && /^\d+\.\d+$/.test(version) && resources.length > 0, what);
    const rows = resources as unknown as readonly ResourceRow[];
    assert.equal(new Set(rows.map(([resource]) => resource)).size, rows.length, what);
    for (const [resource, title, operations, cardinality, presence, type] of rows) {
      const row = `${what}, resource ${resource}`;
      assert.ok(Number.isInteger(resource) && title !== '' && types.has(type), row);
      assert.ok(['', 'R', 'W', 'RW', 'E'].includes(operations), row);
      assert.ok(cardinality === 'single' || cardinality === 'multiple', row);
      assert.ok(presence === 'mandatory' || presence === 'optional', row);
      assert.equal(type === 'none', operations === 'E', row);
    }
  }
});

test('our own tables say what the registry says', () => {
  for (const table of standardModel.objects) {
    if (table.id >= 33_000) continue;
    for (const ours of table.resources) {
      const theirs = usual.resource([table.id, 0, ours.id]);
      const facts = ({ operations, type, multiple }: typeof ours) => ({ operations, type, multiple });
      assert.deepEqual(theirs && facts(theirs), facts(ours), `/${table.id}/*/${ours.id}`);
    }
  }
});

test('knows integers from floats, and units', () => {
  const shown = (path: number[]) => {
    const { name, type, units, range } = usual.resource(path) ?? {};
    return [name, type, units, range];
  };
  assert.deepEqual(shown([3303, 0, 5700]), ['Sensor Value', 'float', undefined, undefined]);
  assert.deepEqual(shown([3311, 0, 5851]), ['Dimmer', 'integer', '/100', '0..100']);
  assert.deepEqual(shown([6, 0, 5]), ['Timestamp', 'time', undefined, undefined]);
  assert.deepEqual(shown([33_400, 0, 1]).slice(1), ['integer', undefined, undefined]);
  assert.equal(shown([33_401, 0, 1])[1], 'string');
  assert.equal(usual.resource([10_300, 0, 0]), undefined);
});

function definition(version: string, type: ResourceRow[5]): ObjectDefinition {
  const resources = resourceTable([[0, version, 'R', 'single', 'mandatory', type]]);
  return { id: 33_000, name: 'test', version, multiple: true, mandatory: false, resources };
}

test('the registered major version counts, and of that the newest definition', () => {
  const registry = new ObjectRegistry([
    definition('1.1', 'integer'),
    definition('2.0', 'float'),
    definition('1.2', 'unsigned'),
    definition('1.0', 'string'),
    { ...definition('2.0', 'float'), id: 33_001 },
  ]);
  const type = (id: number, versions: Iterable<[number, string]>) =>
    registry.model(new Map(versions)).resource([id, 0, 0])?.type;
  assert.equal(type(33_000, []), 'unsigned');
  assert.equal(type(33_000, [[33_000, '1.0']]), 'unsigned');
  assert.equal(type(33_000, [[33_000, '1.9']]), 'unsigned');
  assert.equal(type(33_000, [[33_000, '2.3']]), 'float');
  assert.equal(type(33_000, [[33_000, '3.0']]), undefined);
  assert.equal(type(33_000, [[33_000, 'new']]), undefined);
  assert.equal(type(33_001, []), undefined);
  assert.equal(type(33_001, [[33_001, '2.0']]), 'float');
  // An object of another version changes no other.
  assert.equal(type(33_000, [[33_001, '2.0']]), 'unsigned');
  assert.equal(registry.model(new Map()), registry.model(new Map([[33_000, '1.1']])));
});

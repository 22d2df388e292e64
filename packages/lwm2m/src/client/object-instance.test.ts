// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NamedObject, ResourceRows } from '../model/definition.ts';
import { standardModel } from '../model/model.ts';
import { connectivityMonitoringModel } from '../model/object-4-connectivity-monitoring.ts';
import { deviceModel } from '../model/object-3-device.ts';
import { securityModel } from '../model/object-0-security.ts';
import { serverModel } from '../model/object-1-server.ts';
import { objectInstance } from './object-instance.ts';

const needed = {
  reboot: { execute: () => undefined },
  errorCode: new Map([[0, 0]]),
  supportedBindingAndModes: 'T',
};
const invalid = (message: RegExp) => ({ code: 'lwm2m/instance-invalid', message });

test('names become the numbers of the model', async () => {
  const heard: number[] = [];
  const instance = objectInstance(deviceModel, 0, {
    ...needed,
    manufacturer: 'ARM',
    batteryLevel: { read: () => 80 },
    currentTime: { read: () => 1_367_491_215n, write: (value) => void heard.push(Number(value)) },
  });
  assert.deepEqual([...instance.resources], [0, 4, 9, 11, 13, 16]);
  assert.equal(instance.objectId, 3);
  assert.equal(await instance.read(0), 'ARM');
  assert.equal(await instance.read(9), 80);
  await instance.write?.(13, 5);
  assert.deepEqual(heard, [5]);
  instance.onChange?.((id) => heard.push(id));
  instance.changed('batteryLevel');
  assert.deepEqual(heard, [5, 9]);
});

test('what the compiler refuses is refused at run time, too', () => {
  // @ts-expect-error: two mandatory resources are missing
  assert.throws(() => objectInstance(deviceModel, 0, { reboot: needed.reboot }), invalid(/Error Code/));
  assert.throws(
    // @ts-expect-error: no resource of the object
    () => objectInstance(deviceModel, 0, { ...needed, manufacture: 'ARM' }),
    invalid(/no resource manufacture/),
  );
  assert.throws(
    // @ts-expect-error: no number
    () => objectInstance(deviceModel, 0, { ...needed, batteryLevel: '80' }),
    invalid(/batteryLevel is of type integer/),
  );
  assert.throws(
    // @ts-expect-error: one value where there are instances
    () => objectInstance(deviceModel, 0, { ...needed, errorCode: 0 }),
    invalid(/errorCode has instances/),
  );
  assert.throws(
    // @ts-expect-error: instances where there is one value
    () => objectInstance(deviceModel, 0, { ...needed, manufacturer: new Map([[0, 'ARM']]) }),
    invalid(/manufacturer has one value/),
  );
  assert.throws(
    // @ts-expect-error: instances of another type
    () => objectInstance(deviceModel, 0, { ...needed, errorCode: new Map([[0, 'none']]) }),
    invalid(/errorCode is of type integer/),
  );
  assert.throws(
    // @ts-expect-error: a resource that the server may only execute
    () => objectInstance(deviceModel, 0, { ...needed, reboot: { read: () => 'no' } }),
    invalid(/reboot can only be executed/),
  );
  assert.throws(
    // @ts-expect-error: a resource that the server may not execute
    () => objectInstance(deviceModel, 0, { ...needed, manufacturer: { execute: () => undefined } }),
    invalid(/manufacturer cannot be executed/),
  );
  const read = () => 'ARM';
  assert.throws(
    // @ts-expect-error: a resource that the server may not write
    () => objectInstance(deviceModel, 0, { ...needed, manufacturer: { read, write: () => undefined } }),
    invalid(/manufacturer cannot be written/),
  );
  // @ts-expect-error: not what it is called
  assert.doesNotThrow(() => objectInstance(deviceModel, 0, needed).changed('battery'));
  // At run time the type of what is read is known when it is read.
  const later = {
    ...needed,
    // @ts-expect-error: read as another type
    batteryLevel: { read: () => 'full' },
  } satisfies Parameters<typeof objectInstance<typeof deviceModel.rows>>[2];
  assert.ok(later);
});

test("every name in the model is OMA's, run together", () => {
  const models: NamedObject<ResourceRows>[] = [
    securityModel,
    serverModel,
    deviceModel,
    connectivityMonitoringModel,
  ];
  const all = [...standardModel.objects].filter((object) => 'rows' in object) as typeof models;
  assert.ok(models.every((model) => all.includes(model)));
  for (const { rows } of all) {
    for (const [name, row] of Object.entries(rows)) {
      const [first = '', ...others] = row[1]
        .replace('(s)', 's')
        .replaceAll(/([a-z])([A-Z])/g, '$1 $2')
        .split(/[^A-Za-z0-9]+/)
        .map((word) => word.toLowerCase());
      const joined = first + others.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
      assert.equal(name, joined);
    }
    assert.equal(new Set(Object.values(rows).map(([id]) => id)).size, Object.keys(rows).length);
  }
});

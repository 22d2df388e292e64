// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { loadRecipes } from '../recipes/recipes.ts';
import { readDeviceTree } from './device-tree.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-device-tree-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const gib = 2 ** 30;

/** What a program that reads the compiled tree sees. */
const compile = (source: string) => {
  const dtb = join(folder, 'tree.dtb');
  execFileSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb', '-o', dtb], { input: source });
  const read = (...args: string[]): string =>
    execFileSync('fdtget', [...args])
      .toString()
      .trim();
  return {
    property: (node: string, name: string) => read('-t', 'x', dtb, node, name),
    text: (node: string, name: string) => read(dtb, node, name),
    below: (node: string) => read('-l', dtb, node).split('\n'),
  };
};

test("the lab's board has the memory and the cores of its machine file, also when a layer changes them", async () => {
  const layer = join(folder, 'layer.yaml');
  writeFileSync(
    layer,
    'name: large\nchange: { machines: { qemu-arm64: { memory: 5 GiB, cores: 3, cpu: cortex-a72 } } }\n',
  );
  const osDirectory = resolve(import.meta.dirname, '../../../../os');
  const changed = (await loadRecipes({ osDirectory, layers: [folder] })).machine('qemu-arm64');
  const tree = compile(await readDeviceTree(changed));
  assert.equal(tree.property('/memory@40000000', 'reg'), '0 40000000 1 40000000');
  assert.deepEqual(tree.below('/cpus').toSorted(), ['cpu@0', 'cpu@1', 'cpu@2']);
  assert.equal(tree.text('/cpus/cpu@2', 'compatible'), 'arm,cortex-a72');
  assert.equal(tree.property('/cpus/cpu@2', 'reg'), '2');
  const own = (await loadRecipes({ osDirectory })).machine('qemu-arm64');
  const args = ['-cpu', 'cortex-a57', '-smp', '2', '-m', '1024M'];
  assert.deepEqual(own.emulator?.args.slice(-6), args);
  const largeArgs = ['-cpu', 'cortex-a72', '-smp', '3', '-m', '5120M'];
  assert.deepEqual(changed.emulator?.args.slice(-6), largeArgs);
});

test('a tree that says memory and cores itself must say what the machine file says', async () => {
  const deviceTree = join(folder, 'board.dts');
  const board = { deviceTree, memory: 3 * gib, cores: 2, cpu: 'cortex-a53' };
  const whole = `/dts-v1/;
/ {
	#address-cells = <2>; #size-cells = <2>;
	// memory@0 { device_type = "memory"; reg = <0 0 0 1>; };
	reserved-memory { memory@90000000 { reg = <0 0x90000000 0 4096>; }; };
	memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0 0x40000000>, <1 0 0x0 0x80000000>; };
	cpus {
		cpu@0 { device_type = "cpu"; };
		cpu@100 { device_type = "cpu"; };
	};
};
`;
  writeFileSync(deviceTree, whole);
  const tree = compile(await readDeviceTree(board));
  assert.equal(tree.property('/memory@80000000', 'reg'), '0 80000000 0 40000000 1 0 0 80000000');
  assert.deepEqual(tree.below('/cpus'), ['cpu@0', 'cpu@100']);
  const code = 'builder/device-tree';
  await assert.rejects(readDeviceTree({ ...board, memory: gib }), {
    code,
    message: /board\.dts:6:2: the device tree has 3 GiB of memory, the machine file 1 GiB$/,
  });
  await assert.rejects(readDeviceTree({ ...board, cores: 4 }), {
    code,
    message: /board\.dts:8:3: the device tree has 2 cores, the machine file 4$/,
  });
  writeFileSync(deviceTree, '/dts-v1/;\n/ { };\n');
  await assert.rejects(readDeviceTree(board), { code, message: /board\.dts:1:1: .*no memory/ });
});

test('a tree that takes in other files is refused: nothing would tell that they changed', async () => {
  const deviceTree = join(folder, 'parts.dts');
  for (const part of ['/include/ "/tmp/other.dtsi"', 'x = /incbin/("/tmp/other.bin");']) {
    writeFileSync(deviceTree, `/dts-v1/;\n/* no /include/ */\n/ {\n${part}\n};\n`);
    await assert.rejects(readDeviceTree({ deviceTree, memory: gib, cores: 1, cpu: 'cortex-a53' }), {
      code: 'builder/device-tree',
      message: /parts\.dts:4:\d+: the device tree takes in another file/,
    });
  }
});

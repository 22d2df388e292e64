// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { formatSize, type Position, recipeError } from '@mbl/formats';
import type { Machine } from '../recipes/machine.ts';

/**
 * The source of a board's device tree. Memory and cores that it leaves open are those of the machine file: a memory node without `reg`
 * starts at its unit address, `cpus` without a `cpu` node get them. It is one file: what dtc would take from others is refused, because the
 * keys of tasks hold the text. Throws `builder/device-tree` where the tree says something else.
 */
export async function readDeviceTree({
  deviceTree: file,
  memory,
  cores,
  cpu,
}: Pick<Machine, 'deviceTree' | 'memory' | 'cores' | 'cpu'>): Promise<string> {
  const source = await readFile(file, 'utf8');
  const code = source.replaceAll(/\/\*[^]*?\*\/|\/\/[^\n]*/g, (comment) => comment.replaceAll(/[^\n]/g, ' '));
  const at = (index: number): Position => {
    const before = source.slice(0, index).split('\n');
    return { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  };
  const contradiction = (index: number, has: string, key: string, given: string): Error =>
    recipeError('builder/device-tree', at(index), `the device tree has ${has}, the machine file ${given}`, {
      remedy: `Correct "${key}" in the machine file, or leave it out of the device tree: the machine file gives it then.`,
    });

  const other = /\/(include|incbin)\//.exec(code);
  if (other !== null)
    throw recipeError(
      'builder/device-tree',
      at(other.index),
      `the device tree takes in another file (${other[0]})`,
      {
        remedy: 'Put the whole tree into this file.',
      },
    );

  const [bank, ...more] = nodes(code, 'memory');
  if (bank === undefined)
    throw recipeError('builder/device-tree', at(0), 'the device tree has no memory', {
      remedy: 'Add a node memory@<address> { device_type = "memory"; }.',
    });
  const parts: string[] = [];
  const regs = [bank, ...more].flatMap(({ body }) => /\breg\s*=([^;]*);/.exec(body)?.[1] ?? []);
  if (regs.length === 0) {
    const cells = [...twoCells(Number.parseInt(bank.address, 16)), ...twoCells(memory)];
    parts.push(`memory@${bank.address} { reg = <${cells.join(' ')}>; };`);
  } else {
    const size = regs.reduce((sum, reg) => sum + sizeOf(reg), 0);
    if (size !== memory)
      throw contradiction(bank.index, `${formatSize(size)} of memory`, 'memory', formatSize(memory));
  }

  const [first, ...others] = nodes(code, 'cpu');
  if (first === undefined) {
    const core = (n: number): string =>
      `cpu@${n.toString(16)} { device_type = "cpu"; compatible = "arm,${cpu}"; reg = <${n}>; enable-method = "psci"; };`;
    const all = Array.from({ length: cores }, (_, n) => core(n));
    parts.push(`cpus { #address-cells = <1>; #size-cells = <0>; ${all.join(' ')} };`);
  } else if (others.length + 1 !== cores)
    throw contradiction(first.index, `${others.length + 1} cores`, 'cores', String(cores));
  return `${source}\n/ { ${parts.join(' ')} };\n`;
}

/** Nodes of a device type, by the address in their names. */
const nodes = (code: string, type: string) =>
  [...code.matchAll(new RegExp(`(?<![\\w,.-])${type}@([0-9a-fA-F]+)\\s*\\{([^{}]*)`, 'g'))]
    .map(({ index, 1: address = '', 2: body = '' }) => ({ index, address, body }))
    .filter(({ body }) => new RegExp(`device_type\\s*=\\s*"${type}"`).test(body));

/** A number as two cells. */
const twoCells = (value: number): string[] =>
  [Math.floor(value / 2 ** 32), value % 2 ** 32].map((cell) => `0x${cell.toString(16)}`);

/** The bytes of all ranges of a `reg` with two cells for an address and two for a size. */
const sizeOf = (reg: string): number =>
  [...reg.matchAll(/0[xX][0-9a-fA-F]+|\d+/g)]
    .map(([cell]) => Number(cell))
    .reduce((sum, cell, i) => sum + (i % 4 === 2 ? cell * 2 ** 32 : i % 4 === 3 ? cell : 0), 0);

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '@mbl/coap';
import { parseExecuteArguments } from './execute-arguments.ts';

test('the examples of the specification (LwM2M Core 1.1 §6.3.5)', () => {
  for (const [text, values] of [
    ['5', [[5, '']]],
    ["2='10.3'", [[2, '10.3']]],
    [
      "7,0='https://www.oma.org'",
      [
        [7, ''],
        [0, 'https://www.oma.org'],
      ],
    ],
    [
      '0,1,2,3,4',
      [
        [0, ''],
        [1, ''],
        [2, ''],
        [3, ''],
        [4, ''],
      ],
    ],
    ['', []],
  ] as const) {
    assert.deepEqual([...parseExecuteArguments(text).values], values);
  }
});

test('other text is refused with 4.00', () => {
  for (const text of ['10', 'a', '5,', ',5', '2=10.3', "2='10", '5 ,6', '5,5', "1='a'b'"]) {
    assert.throws(() => parseExecuteArguments(text), { status: Code.BAD_REQUEST }, text);
  }
});

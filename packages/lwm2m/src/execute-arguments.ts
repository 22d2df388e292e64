// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from './errors.ts';

/** What came with an Execute (LwM2M Core 1.1 §6.3.5): the raw text, and its arguments 0..9 where it has that form. */
export interface ExecuteArguments {
  text: string;
  values: ReadonlyMap<number, string>;
}

const argument = /([0-9])(?:='([!\x23-\x26\x28-\x5b\x5d-\x7e]*)')?(,|$)/y;

/** Parses `5,2='10.3'`. Throws `lwm2m/arguments-invalid` (4.00). */
export function parseExecuteArguments(text: string): ExecuteArguments {
  const values = new Map<number, string>();
  let at = 0;
  let last = '';
  while (at < text.length || last === ',') {
    argument.lastIndex = at;
    const match = argument.exec(text);
    const digit = Number(match?.[1]);
    if (match === null || values.has(digit)) {
      throw new Lwm2mError('lwm2m/arguments-invalid', `not execute arguments, at character ${at}`, {
        status: Code.BAD_REQUEST,
      });
    }
    values.set(digit, match[2] ?? '');
    last = match[3] ?? '';
    at = argument.lastIndex;
  }
  return { text, values };
}

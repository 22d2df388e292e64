// SPDX-License-Identifier: Apache-2.0
import { Code } from '../codes.ts';
import { isCritical, OptionNumber, optionDefinition, optionName } from '../message/option-registry.ts';
import type { CoapOption, CoapOptions } from '../options.ts';

export interface OptionProblem {
  code: number;
  diagnostic: string;
}

/**
 * Drops elective options that are unknown, of a wrong length or repeated against their definition; a critical
 * one of these is a problem (RFC 7252 §5.4.1, §5.4.3, §5.4.5).
 */
export function checkOptions(
  options: CoapOptions,
  understood: ReadonlySet<number>,
): { options: CoapOptions; problem?: OptionProblem } {
  const kept: CoapOption[] = [];
  let previous: number | undefined;
  for (const option of options) {
    const problem = optionProblem(option, previous, understood);
    previous = option.number;
    if (problem === undefined) kept.push(option);
    else if (isCritical(option.number)) return { options: kept, problem };
  }
  return { options: kept };
}

function optionProblem(
  { number, value }: CoapOption,
  previous: number | undefined,
  understood: ReadonlySet<number>,
): OptionProblem | undefined {
  const definition = optionDefinition(number);
  const name = optionName(number);
  if (definition === undefined) {
    // Unknown elective options reach the handler: it may know them.
    const usable = understood.has(number) || !isCritical(number);
    return usable ? undefined : { code: Code.BAD_OPTION, diagnostic: `unknown critical ${name}` };
  }
  const proxy = number === OptionNumber.PROXY_URI || number === OptionNumber.PROXY_SCHEME;
  if (proxy && !understood.has(number)) {
    return { code: Code.PROXYING_NOT_SUPPORTED, diagnostic: `${name} is not supported` };
  }
  if (value.length < definition.min || value.length > definition.max) {
    return { code: Code.BAD_OPTION, diagnostic: `${name} has a wrong length` };
  }
  if (previous === number && !definition.repeatable) {
    return { code: Code.BAD_OPTION, diagnostic: `${name} is repeated` };
  }
  return undefined;
}

// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';

/** How an order that somebody gives on the board stands. One JSON object a line, from `mbl-cloud-client` to whoever gave the order. */
export interface OrderStatus {
  /** `works`: more lines come; `starts`: the board restarts into the release; `failed`: it does not, `detail` says why. */
  readonly state: 'works' | 'starts' | 'failed';
  /** One sentence, may be ''. */
  readonly detail: string;
}

/** The door of the client: only root and the client's own group can go through it. */
export const orderSocket = '/run/mbl-cloud-client/orders';

/** More than any order or answer has. */
export const longestLine = 8192;

const states = ['works', 'starts', 'failed'] as const;

/** An order is the Package URI of a release (LwM2M Core 1.1 Appendix E.6, resource 1), in a line. Throws `device/bad-order`. */
export function parseOrder(line: string): string {
  const { update } = parse(line);
  if (typeof update === 'string' && update !== '') return update;
  throw bad();
}

export function formatOrder(uri: string): string {
  return `${JSON.stringify({ update: uri })}\n`;
}

/** Throws `device/bad-order`. */
export function parseOrderStatus(line: string): OrderStatus {
  const { state, detail } = parse(line);
  const known = states.find((one) => one === state);
  if (known === undefined || typeof detail !== 'string') throw bad();
  return { state: known, detail };
}

function parse(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw bad();
}

function bad(): MblError {
  return new MblError('device/bad-order', 'this is no order, or no answer to one');
}

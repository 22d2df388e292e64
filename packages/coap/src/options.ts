// SPDX-License-Identifier: Apache-2.0

/** One option: number and raw value (RFC 7252 §3.1). */
export interface CoapOption {
  number: number;
  value: Uint8Array;
}

/** Options in ascending order of number; repeatable options keep their order. */
export type CoapOptions = readonly CoapOption[];

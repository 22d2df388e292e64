// SPDX-License-Identifier: Apache-2.0

/** What `mbl` returns beside 0. */
export const exitCodes = { failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

// SPDX-License-Identifier: Apache-2.0
export { MblError, type MblErrorOptions } from './errors.ts';

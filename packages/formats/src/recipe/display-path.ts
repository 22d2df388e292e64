// SPDX-License-Identifier: Apache-2.0
import { relative } from 'node:path';

/** `file` as a person names it: from the working directory when that is shorter. */
export function displayPath(file: string): string {
  const near = relative('', file);
  return near !== '' && near.length < file.length ? near : file;
}

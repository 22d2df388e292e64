// SPDX-License-Identifier: Apache-2.0

/** Something in the repository that breaks a rule. */
export interface Finding {
  /** Path from the working copy's root. */
  readonly file: string;
  readonly line?: number;
  readonly message: string;
}

/** A source file as the checks see it. */
export interface SourceFile {
  /** Path from the working copy's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

export function formatFinding({ file, line, message }: Finding): string {
  return `${file}${line === undefined ? '' : `:${line}`}: ${message}`;
}

/** The line, counted from 1, of an index in a text. */
export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < index; i = text.indexOf('\n', i + 1)) line += 1;
  return line;
}

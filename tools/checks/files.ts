// SPDX-License-Identifier: Apache-2.0
import type { Finding, SourceFile } from './check.ts';

const mostLines = 400;
const name = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)*\.ts$/;

/** Code that becomes part of a program of others has that program's licence. */
const licences: readonly (readonly [folder: string, licence: string])[] = [
  ['os/firmware/u-boot/', 'GPL-2.0-or-later'],
  ['os/firmware/trusted-firmware/', 'BSD-3-Clause'],
  ['os/firmware/include/', 'BSD-3-Clause'],
  ['os/firmware/optee/', 'BSD-2-Clause'],
];

/** Every file of code opens with its licence, holds one concept in at most 400 lines, and is named in kebab-case. */
export function checkFiles(sources: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  for (const { path, text } of sources) {
    const lines = text.split('\n');
    const first = lines[0]?.startsWith('#!') ? lines[1] : lines[0];
    const other = /\.[chS]$/.test(path) ? licences.find(([folder]) => path.startsWith(folder)) : undefined;
    const line = `SPDX-License-Identifier: ${other?.[1] ?? 'Apache-2.0'}`;
    if (first?.includes(line) !== true)
      findings.push({ file: path, line: 1, message: `must open with ${line}` });
    if (!path.endsWith('.ts')) continue;
    if (lines.length > mostLines + 1) {
      findings.push({
        file: path,
        message: `has ${lines.length - 1} lines, more than ${mostLines}: split it by concept`,
      });
    }
    if (!name.test(path.slice(path.lastIndexOf('/') + 1))) {
      findings.push({ file: path, message: 'file names are kebab-case: some-thing.ts, some-thing.test.ts' });
    }
  }
  return findings;
}

// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { access, mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './mbl.ts';

const run = promisify(execFile);

export interface HostProgram {
  /** Sources of firmware as they stand, or a changed copy of one: what decides on a board. */
  readonly sources: readonly string[];
  /** Stands for each header `<...>` of the firmware's own tree that a source names; those of our own are what they are. */
  readonly shim: string;
  /** Compiled, where the sources are not included by it. */
  readonly main: string;
  readonly includes: readonly string[];
  readonly defines?: Readonly<Record<string, number | string>>;
  /** Whether `main` includes the sources by itself. */
  readonly included?: boolean;
}

const ofTheHost = /^(mbl_.*|std[a-z]+\.h|errno\.h|string\.h)$/;

/** Compiles code of the boot firmware for this machine, in a folder that is there. Returns the program. */
export async function compileForHost(folder: string, program: HostProgram): Promise<string> {
  const [headers, output] = [join(folder, 'headers'), join(folder, 'program')];
  const texts = await Promise.all(program.sources.map(async (source) => await readFile(source, 'utf8')));
  for (const [, name = ''] of texts.join('\n').matchAll(/^#include <(.*)>$/gm)) {
    if (name.startsWith('mbl_') || (!program.included && ofTheHost.test(name))) continue;
    const path = join(headers, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `#include "${program.shim}"\n`);
  }
  const { gcc, sysroot } = await nativeCompiler();
  const includes = [headers, ...program.includes, join(root, 'os/firmware/include')];
  const defines = Object.entries(program.defines ?? {}).map(([name, value]) => `-D${name}=${value}`);
  // Static: the libraries of a toolbox are not those of the machine.
  const flags = ['-std=gnu11', '-O1', '-static', `--sysroot=${sysroot}`, ...defines];
  const sources = program.included === true ? [] : program.sources.filter((path) => path.endsWith('.c'));
  await run(gcc, [
    ...flags,
    ...includes.flatMap((path) => ['-I', path]),
    '-o',
    output,
    program.main,
    ...sources,
  ]);
  return output;
}

/** The machine's compiler, or that of the builder's tools, which lies in a folder with all that it needs. */
async function nativeCompiler(): Promise<{ gcc: string; sysroot: string }> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const gcc = join(folder, 'gcc');
    const sysroot = join(folder, '../..');
    const whole = await Promise.all(
      [gcc, join(sysroot, 'usr/include/stdio.h')].map(async (path) => await access(path)),
    ).then(
      () => true,
      () => false,
    );
    if (whole) return { gcc, sysroot };
  }
  throw new Error('no C compiler: run this by ./mbl test');
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { relocateProgram } from './relocate.ts';

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), 'mbl-relocate-'));
after(async () => await rm(folder, { recursive: true, force: true }));

/** A program of this machine with what it is linked to, as `ldd` names it: the loader and the other libraries. */
async function programOf(path: string): Promise<{ bytes: Buffer; loader: string; libraries: string[] }> {
  const { stdout } = await run('ldd', [path]);
  const libraries = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, library = '']) => library);
  const loader = /^\s*(\/\S*ld-linux\S*)/m.exec(stdout)?.[1] ?? '';
  return { bytes: await readFile(await realpath(path)), loader, libraries };
}

test('a program runs with the loader and the libraries that it was bound to, and with no others', async () => {
  const { bytes, loader, libraries } = await programOf('/usr/bin/env');
  const own = join(folder, 'a place of its own'.padEnd(180, 'x'));
  await mkdir(own);
  for (const library of libraries) await copyFile(library, join(own, library.split('/').at(-1) ?? ''));
  await copyFile(loader, join(own, 'loader'));
  await chmod(join(own, 'loader'), 0o755);
  const program = join(own, 'program');
  const bound = relocateProgram(bytes, join(own, 'loader'), own);
  assert.ok(bound);
  await writeFile(program, bound, { mode: 0o755 });
  const { stdout } = await run(program, ['-i', 'A=b']);
  assert.equal(stdout, 'A=b\n');
  const { stdout: maps } = await run(program, ['cat', '/proc/self/maps'], { env: { PATH: '/usr/bin:/bin' } });
  assert.match(maps, /libc/, 'what it starts runs as ever');
  const listed = (await run(join(own, 'loader'), ['--list', program])).stdout;
  for (const [, found = ''] of listed.matchAll(/=> (\/\S.*) \(0x/g)) assert.ok(found.startsWith(own), found);

  for (const name of await readdir(own)) if (name.startsWith('libc.so')) await rm(join(own, name));
  await rm(join(own, 'loader'));
  await assert.rejects(run(program, []), /ENOENT|not found/, 'without its loader there is none');
});

test('what is no program is left as it is', async () => {
  const { bytes } = await programOf('/usr/bin/env');
  const wide = Buffer.from(bytes);
  wide[4] = 1;
  for (const other of [Buffer.alloc(0), Buffer.from('#!/bin/sh\n'), bytes.subarray(0, 60), wide])
    assert.equal(relocateProgram(other, '/loader', '/libraries'), undefined);
});

test('bytes of any kind are bound, left, or refused with the error of tools', async () => {
  const { bytes } = await programOf('/usr/bin/env');
  const change = fc.tuple(fc.nat(0x2000), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.nat(bytes.length), (changes, length) => {
      const damaged = Buffer.from(bytes.subarray(0, length));
      for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
      try {
        relocateProgram(damaged, '/loader', '/libraries');
      } catch (error) {
        assert.ok(error instanceof MblError && error.code === 'builder/tool-unusable', String(error));
      }
    }),
    { numRuns: 300 },
  );
});

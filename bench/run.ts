// SPDX-License-Identifier: Apache-2.0
//
// node bench/run.ts [name...]: runs bench/<name>.bench.ts, or all of them, one after another. Exit code 1 when a budget is broken.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const suffix = '.bench.ts';
const all = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length))
  .toSorted();
const names = process.argv.slice(2);
const unknown = names.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are: ${all.join(', ')}`);
  process.exit(2);
}
const broken: string[] = [];
for (const name of names.length > 0 ? names : all) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}${suffix}`)], {
    stdio: 'inherit',
  });
  if (status !== 0) broken.push(name);
}
console.log(broken.length === 0 ? '\nall budgets kept' : `\nbudgets broken: ${broken.join(', ')}`);
process.exit(broken.length === 0 ? 0 : 1);

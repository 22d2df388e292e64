// SPDX-License-Identifier: Apache-2.0
//
// Budget: `up` on a machine where nothing is cached, from a clone to a device online. Downloads, compiles and boots everything.
import { join } from 'node:path';
import { report, root, run, scratch } from './support.ts';

await using work = await scratch();
const clone = join(work.path, 'clone');
await run('git', ['clone', '-q', root, clone]);
const mbl = join(clone, 'mbl');
const env = { MBL_CACHE: join(work.path, 'cache') };
try {
  const up = await run(mbl, ['up'], { env });
  console.log(up.stdout);
  report([{ name: 'cold up: clone to a device online', value: up.seconds, unit: 's', budget: 900 }]);
} finally {
  await run(mbl, ['down'], { env });
}

// SPDX-License-Identifier: Apache-2.0
//
// Budget: `up` on a machine where nothing is cached, from a clone to a device online. Downloads, compiles and boots everything; Debian's
// packages for the builder itself are there. Ends with the time of each task of the build, which ran two at a time.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { report, root, run, scratch } from './support.ts';

await using work = await scratch();
const clone = join(work.path, 'clone');
await run('git', ['clone', '-q', root, clone]);
const mbl = join(clone, 'mbl');
const env = { MBL_CACHE: join(work.path, 'cache'), npm_config_cache: join(work.path, 'npm') };
try {
  const up = await run(mbl, ['up'], { env });
  console.log(up.stdout);
  const records = join(clone, '.mbl/build-cache/records');
  const tasks = await Promise.all(
    (await readdir(records)).toSorted().map(async (file) => {
      const { seconds } = JSON.parse(await readFile(join(records, file), 'utf8')) as { seconds: number };
      return { name: `  task ${file.replace('.json', '')}`, value: seconds, unit: 's' as const };
    }),
  );
  report([
    { name: 'cold up: clone to a device online', value: up.seconds, unit: 's', budget: 900 },
    ...tasks,
  ]);
} finally {
  await run(mbl, ['down'], { env });
}

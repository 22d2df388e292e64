// SPDX-License-Identifier: Apache-2.0
import { readFileSync, statSync, writeFileSync } from 'node:fs';

const last = '/data/last';

/** Healthy is who wrote a value in the last minute. */
function check() {
  const age = Date.now() - (statSync(last, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return age > 60_000 ? 1 : 0;
}

function measure() {
  const [load] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  writeFileSync(last, `${load}\n`);
  console.log('load', load);
}

if (process.argv[2] === '--check') process.exit(check());
// The first process of an app is not ended by a signal that it has no handler for.
process.once('SIGTERM', () => process.exit(0));
measure();
setInterval(measure, 10_000);

// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into a service that is measured: at SIGUSR2 it writes to $MBL_BENCH_PROBE how long the event loop was held up since the last time.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolution = 10;
const path = process.env['MBL_BENCH_PROBE'];
// Programs that the service starts inherit the preload and have no main of the service.
if (path !== undefined && process.argv[1]?.endsWith('/packages/service/src/main.ts')) {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  process.on('SIGUSR2', () => {
    // Nanoseconds between two ticks of a timer, of which `resolution` is meant.
    const stall = delay.max / 1e6 - resolution;
    delay.reset();
    writeFileSync(path, `${JSON.stringify({ stall })}\n`);
  });
}

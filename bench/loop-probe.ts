// SPDX-License-Identifier: Apache-2.0
//
// Preloaded into a service that is measured: at SIGUSR2 it writes to $MBL_BENCH_PROBE how long the event loop was held up since the last time; the first time it begins to look.
import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolution = 10;
const path = process.env['MBL_BENCH_PROBE'];
// Programs that the service starts inherit the preload and have no main of the service.
if (path !== undefined && process.argv[1]?.endsWith('/packages/service/src/main.ts')) {
  const delay = monitorEventLoopDelay({ resolution });
  process.on('SIGUSR2', () => {
    // Nanoseconds between two ticks of a timer, of which `resolution` is meant. It wakes the process a hundred times a second: not before somebody asks.
    const stall = delay.enable() ? 0 : delay.max / 1e6 - resolution;
    delay.reset();
    writeFileSync(path, `${JSON.stringify({ stall })}\n`);
  });
}

// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { KeepAliveOptions } from '@mbl/coap';

/** Pings of ours in a second, over all devices: some hundredths of a core at the most are spent on finding out that nothing happened. */
const pingsPerSecond = 10;
const longestIntervalMs = 300_000;

/**
 * When to ping a silent device (RFC 8323 §5.4): after the interval given where few are connected, later where many are. A dead network is then
 * noticed first by the kernel (`watchNetwork`); the pings find the process that is dead, or what a proxy between hides.
 */
export function sparingPings(base: KeepAliveOptions, connected: () => number): KeepAliveOptions {
  return {
    timeoutMs: base.timeoutMs,
    get intervalMs() {
      const shareMs = Math.min((connected() * 1000) / pingsPerSecond, longestIntervalMs);
      return Math.max(base.intervalMs, shareMs);
    },
  };
}

const probeAfterMs = 10_000;
const probeEachMs = 1000;
const probes = 5;

/** Has the kernel probe a silent connection (RFC 9293 §3.8.4), which costs this process nothing: 15 s after the last sign of life it breaks. */
export function watchNetwork(socket: Socket): void {
  socket.setKeepAlive(true, probeAfterMs, probeEachMs, probes);
}

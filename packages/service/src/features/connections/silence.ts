// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import type { KeepAliveOptions } from '@mbl/coap';
import type { DeviceSession } from './session.ts';

/** Pings of ours in a second, over all devices: some hundredths of a core at the most are spent on finding out that nothing happened. */
const pingsPerSecond = 10;
const longestIntervalMs = 300_000;
/** A registration without an end, or one of years. */
const longestSleepMs = 86_400_000;

/** What a device that can be asked has registered. */
export type Registered = Pick<DeviceSession, 'queueMode' | 'lifetime'>;

/**
 * When to ping a silent device (RFC 8323 §5.4): after the interval given where few are connected, later where many are. A dead network is then
 * noticed first by the kernel (`watchNetwork`); the pings find the process that is dead, or what a proxy between hides. One in queue mode
 * (LwM2M Core 1.1 §6.5) sleeps, and a ping would wake it: it is given the lifetime of its registration, within which it has to update that.
 */
export function sparingPings(
  base: KeepAliveOptions,
  connected: () => number,
  registered: () => Registered | undefined,
): KeepAliveOptions {
  return {
    timeoutMs: base.timeoutMs,
    get intervalMs() {
      const { queueMode = false, lifetime = 0 } = registered() ?? {};
      const sleepMs = lifetime === 0 ? longestSleepMs : Math.min(lifetime * 1000, longestSleepMs);
      const shareMs = Math.min((connected() * 1000) / pingsPerSecond, longestIntervalMs);
      return Math.max(base.intervalMs, queueMode ? sleepMs : shareMs);
    },
  };
}

/** Lets a device in queue mode sleep: the kernel's probes would wake it as well. */
export function leaveAlone(socket: Socket): void {
  // A TLS socket does not know what was set on the one below, and would take it for off.
  socket.setKeepAlive(true, probeAfterMs).setKeepAlive(false);
}

const probeAfterMs = 10_000;
const probeEachMs = 1000;
const probes = 5;

/** Has the kernel probe a silent connection (RFC 9293 §3.8.4), which costs this process nothing: 15 s after the last sign of life it breaks. */
export function watchNetwork(socket: Socket): void {
  socket.setKeepAlive(true, probeAfterMs, probeEachMs, probes);
}

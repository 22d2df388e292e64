// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

interface Ports {
  readonly localPort?: number | undefined;
  readonly remotePort?: number | undefined;
}

/** For tests: seconds until the kernel's keep-alive timer goes off: columns `local`, `remote`, `tr:tm->when` of /proc/net/tcp, where timer 2 is keep-alive. */
export function timerOf({ localPort, remotePort }: Ports): number | undefined {
  const hex = (port = 0) => port.toString(16).toUpperCase().padStart(4, '0');
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(
      ([, local, remote]) => local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`),
    );
  const [timer, ticks = ''] = (row?.[5] ?? '').split(':');
  return timer === '02' ? Number.parseInt(ticks, 16) / 100 : undefined;
}

// SPDX-License-Identifier: Apache-2.0
import { type AddressInfo, isIPv6, type Server } from 'node:net';
import { MblError } from '@mbl/trust';

/** Listens, port 0 meaning any free one, and gives the port. Throws `service/port-in-use` or `service/cannot-listen`. */
export async function listen(server: Server, what: string, host: string, port: number): Promise<number> {
  try {
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen({ host, port, backlog: 1024 }, () => {
        server.off('error', fail);
        done();
      });
    });
  } catch (cause) {
    const where = authority(host, port);
    if ((cause as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new MblError('service/port-in-use', `The ${what} port is in use: ${where}`, {
        remedy: `See who has it: ss -ltnp 'sport = :${port}'. Stop it, or give another port`,
        cause,
        details: { what, host, port },
      });
    }
    throw new MblError(
      'service/cannot-listen',
      `Cannot listen for ${what} on ${where}: ${(cause as Error).message}`,
      {
        remedy: 'Give an address of this machine and a port that you may use',
        cause,
      },
    );
  }
  return (server.address() as AddressInfo).port;
}

/** Host and port as a URL has them. */
export function authority(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

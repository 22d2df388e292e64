// SPDX-License-Identifier: Apache-2.0
//
// The peer of the service in its bench: a TLS server that asks for a certificate and sends a byte. node bench/bare-tls.ts KEY CERT CA,
// started with an IPC channel, which it tells its port; at any message it tells its CPU time in seconds.
import { constants } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';

const [key, cert, ca] = await Promise.all(process.argv.slice(2).map((path) => readFile(path)));
const server = createServer({
  ...(key === undefined ? {} : { key }),
  ...(cert === undefined ? {} : { cert }),
  ...(ca === undefined ? {} : { ca }),
  requestCert: true,
  rejectUnauthorized: true,
  ALPNProtocols: ['coap'],
  secureOptions: constants.SSL_OP_NO_TICKET,
});
server.on('secureConnection', (socket) => {
  socket.on('error', () => socket.destroy());
  socket.resume();
  socket.write('1');
});
server.listen({ host: '127.0.0.1', port: 0, backlog: 1024 }, () =>
  process.send?.((server.address() as AddressInfo).port),
);
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.((user + system) / 1e6);
});
process.on('disconnect', () => process.exit());

// SPDX-License-Identifier: Apache-2.0
import { connect, type TLSSocket } from 'node:tls';
import { type CoapPeer, connectStream } from '@mbl/coap';
import type { FactoryConfiguration } from '@mbl/formats';
import type { Lwm2mClient } from '@mbl/lwm2m';
import { certificatePem, MblError } from '@mbl/trust';
import { addressOf } from '../common/address.ts';
import type { Identity } from './identity.ts';

const handshakeTimeoutMs = 30_000;
/** Silence that long is probed, and a probe unanswered that long is a dead service. The service asks earlier; who answers need not ask. */
const keepAlive = { intervalMs: 150_000, timeoutMs: 20_000 };
/** Bytes of a message that the device takes (RFC 8323 §5.3.1): what is larger comes in blocks, of which one or two are in memory. */
const maxMessageSize = 128 * 1024;
/** A dead network is noticed by the kernel (RFC 9293 §3.8.4): silent for 30 s, then asked four times within 20 s. */
const probes = [30_000, 5000, 4] as const;

/** Opens CoAP over TLS to the service (RFC 8323 §9), with the device's certificate. Throws `device/connect-failed`. */
export async function openConnection(
  { service, trust }: Pick<FactoryConfiguration, 'service' | 'trust'>,
  identity: Identity,
  serves: Pick<Lwm2mClient, 'handler' | 'openBody'>,
  signal: AbortSignal,
): Promise<CoapPeer> {
  const socket = connect({
    // RFC 8323 §8.2: the port of coaps+tcp.
    ...addressOf(service.lwm2m, 5684),
    servername: service.serverName,
    ca: trust,
    key: identity.key.export({ type: 'pkcs8', format: 'pem' }),
    cert: certificatePem(identity.certificate),
    // RFC 8323 §8.2.
    ALPNProtocols: ['coap'],
    minVersion: 'TLSv1.2',
  });
  socket.setKeepAlive(true, ...probes);
  await secured(socket, AbortSignal.any([signal, AbortSignal.timeout(handshakeTimeoutMs)]));
  return connectStream(socket, {
    handler: serves.handler,
    openBody: serves.openBody,
    keepAlive,
    maxMessageSize,
  });
}

async function secured(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      const abort = () =>
        reject(signal.aborted ? (signal.reason as Error) : new Error('the connection was closed'));
      signal.addEventListener('abort', abort, { once: true });
      const done = (settle: () => void) => () => {
        signal.removeEventListener('abort', abort);
        socket.removeListener('close', abort);
        socket.removeListener('error', failed);
        settle();
      };
      const failed = (error: Error) => done(() => reject(error))();
      socket.once('secureConnect', done(resolve));
      socket.once('error', failed);
      socket.once('close', abort);
      if (signal.aborted) abort();
    });
  } catch (cause) {
    socket.on('error', () => undefined);
    socket.destroy();
    throw new MblError('device/connect-failed', cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
}

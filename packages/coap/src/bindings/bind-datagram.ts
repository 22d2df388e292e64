// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:dgram';
import net from 'node:net';
import { CoapError } from '../errors.ts';
import type { CoapPeer } from '../peer.ts';
import { UdpEndpoint, type UdpEndpointOptions } from '../udp/udp-endpoint.ts';

export type BindDatagramOptions = UdpEndpointOptions;

export interface DatagramBinding extends AsyncDisposable {
  /** The peer at an IP address, not a host name. Throws `coap/bad-argument`. */
  peer(address: string, port: number): CoapPeer;
}

/**
 * CoAP over UDP (RFC 7252) on a socket that the caller made, bound or not. The binding owns the socket from here
 * on; disposing closes every peer and the socket.
 */
export function bindDatagram(socket: Socket, options: BindDatagramOptions = {}): DatagramBinding {
  const endpoint = new UdpEndpoint(
    {
      // A datagram that cannot be sent is a lost one: retransmission and deadlines deal with it.
      send: (datagram, { address, port }) => {
        if (open) socket.send(datagram, port, address, () => {});
      },
    },
    options,
  );
  let open = true;
  socket.on('message', (datagram, remote) => endpoint.receive(datagram, remote));
  socket.on('error', (cause) =>
    endpoint.close(new CoapError('coap/connection-lost', `the socket broke: ${cause.message}`, { cause })),
  );
  socket.on('close', () => {
    open = false;
    endpoint.close();
  });
  return {
    peer: (address, port) => {
      if (net.isIP(address) === 0 || !Number.isInteger(port) || port < 1 || port > 65535) {
        throw new CoapError('coap/bad-argument', `${address} port ${port} is no IP address and UDP port`, {
          remedy: 'Look the host name up first, for example with dns.promises.lookup.',
        });
      }
      return endpoint.peer({ address: new net.SocketAddress(socketAddress(address, port)).address, port });
    },
    [Symbol.asyncDispose]: async () => {
      endpoint.close();
      if (!open) return;
      open = false;
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}

/** The form in which the socket names senders, so that `::0001` and `::1` are one peer. */
function socketAddress(address: string, port: number): net.SocketAddressInitOptions {
  return { address, port, family: net.isIPv6(address) ? 'ipv6' : 'ipv4' };
}

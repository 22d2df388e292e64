// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer } from '../peer.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedClock } from '../simulation/simulated-clock.ts';
import { type NetworkFaults, SimulatedNetwork } from '../simulation/simulated-network.ts';
import { formatCode } from '../codes.ts';
import type { CoapMessage } from '../message/message.ts';
import { decodeUdpMessage, encodeUdpMessage, MessageType, type UdpMessage } from '../message/udp-message.ts';
import { blockSize, blockValue } from '../message/block.ts';
import { uintValue, uriPath } from '../message/option-values.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { UdpEndpoint, type UdpEndpointOptions } from '../udp/udp-endpoint.ts';

export const CLIENT = { address: '192.0.2.1', port: 50_000 };
export const SERVER = { address: '192.0.2.2', port: 5683 };

export interface SimulatedPair {
  clock: SimulatedClock;
  network: SimulatedNetwork;
  client: UdpEndpoint;
  server: UdpEndpoint;
  /** The server as the client sees it. */
  peer: CoapPeer;
  /** What went over the network, one line a message, in the notation of RFC 7959 §3. */
  log: () => string[];
}

/** A client and a server on a simulated network. */
export function simulatedPair(
  serverOptions: UdpEndpointOptions,
  clientOptions: UdpEndpointOptions = {},
  faults: Partial<NetworkFaults> = {},
  seed = 1,
): SimulatedPair {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork(clock, new SeededRandom(seed), faults);
  const endpoint = (local: typeof CLIENT, options: UdpEndpointOptions, salt: number): UdpEndpoint => {
    const transport = network.attach(local, (datagram, from) => created.receive(datagram, from));
    const created = new UdpEndpoint(transport, { clock, random: new SeededRandom(seed + salt), ...options });
    return created;
  };
  const client = endpoint(CLIENT, clientOptions, 1);
  const server = endpoint(SERVER, serverOptions, 2);
  return { clock, network, client, server, peer: client.peer(SERVER), log: () => describe(network) };
}

function describe(network: SimulatedNetwork): string[] {
  const ids = new Map<string, number>();
  return network.trace.map(({ from, datagram, lost }) => {
    const message = decodeUdpMessage(datagram, { maxMessageSize: 65_535, maxOptions: 64 });
    const fromClient = from.address === CLIENT.address;
    // Message ids are numbered in the order of their first use by either side.
    const reply = message.type > 1;
    const key = `${fromClient !== reply ? 'client' : 'server'} ${message.messageId}`;
    if (!ids.has(key)) ids.set(key, ids.size + 1);
    const type = ['CON', 'NON', 'ACK', 'RST'][message.type];
    const words = [`${fromClient ? '>' : '<'} ${type} [${ids.get(key)}]`];
    if (message.code !== 0) words.push(formatCode(message.code));
    const path = uriPath(message.options);
    if (path.length > 0) words.push(`/${path.join('/')}`);
    for (const [name, number] of [
      ['1', OptionNumber.BLOCK1],
      ['2', OptionNumber.BLOCK2],
    ] as const) {
      const block = blockValue(message.options, number);
      if (block === undefined) continue;
      words.push(`${name}:${block.number}/${block.more ? 1 : 0}/${blockSize(block.sizeExponent)}`);
    }
    const observe = uintValue(message.options, OptionNumber.OBSERVE);
    if (observe !== undefined) words.push(`obs:${observe}`);
    if (lost) words.push('lost');
    return words.join(' ');
  });
}

/** Puts a server at `SERVER` that answers each confirmable message as told: one Acknowledgement, or nothing. */
export function scriptedServer(
  network: SimulatedNetwork,
  answer: (request: UdpMessage) => Omit<CoapMessage, 'token'> | undefined,
): void {
  const transport = network.attach(SERVER, (datagram, from) => {
    const request = decodeUdpMessage(datagram, { maxMessageSize: 65_535, maxOptions: 64 });
    const response = answer(request);
    if (response === undefined) return;
    const { messageId, token } = request;
    transport.send(encodeUdpMessage({ ...response, type: MessageType.ACK, messageId, token }), from);
  });
}

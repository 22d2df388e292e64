// SPDX-License-Identifier: Apache-2.0
export { type BindDatagramOptions, bindDatagram, type DatagramBinding } from './bindings/bind-datagram.ts';
export { type ConnectStreamOptions, connectStream } from './bindings/connect-stream.ts';
export * from './codes.ts';
export { CoapError, type CoapErrorCode, type CoapErrorOptions } from './errors.ts';
export { type CoapLimits, DEFAULT_LIMITS } from './exchange/limits.ts';
export type { PeerOptions } from './exchange/peer-options.ts';
export { UploadBudget } from './exchange/upload-budget.ts';
export * from './message/block.ts';
export type { CoapMessage, MessageLimits } from './message/message.ts';
export * from './message/option-registry.ts';
export * from './message/option-values.ts';
export { decodeTcpFrame, encodeTcpFrame, TcpFrameSplitter } from './message/tcp-frame.ts';
export { decodeUdpMessage, encodeUdpMessage, MessageType, type UdpMessage } from './message/udp-message.ts';
export type { CoapOption, CoapOptions } from './options.ts';
export type {
  BodyOpener,
  BodySink,
  ClientObservation,
  CoapPeer,
  CoapRequest,
  CoapResponse,
  NotificationListener,
  Observer,
  RequestContext,
  RequestHandler,
  RequestOptions,
} from './peer.ts';
export { type Clock, systemClock, type Timer } from './runtime/clock.ts';
export { type Random, systemRandom } from './runtime/random.ts';
export { SeededRandom } from './simulation/seeded-random.ts';
export { SimulatedClock } from './simulation/simulated-clock.ts';
export { type NetworkFaults, SimulatedNetwork, type TracedDatagram } from './simulation/simulated-network.ts';
export { SimulatedStream, type StreamFaults } from './simulation/simulated-stream.ts';
export type { KeepAliveOptions } from './tcp/keep-alive.ts';
export { type StreamTransport, TcpSession, type TcpSessionOptions } from './tcp/tcp-session.ts';
export { DEFAULT_TRANSMISSION, type TransmissionParameters } from './udp/transmission-parameters.ts';
export {
  type DatagramTransport,
  type RemoteAddress,
  UdpEndpoint,
  type UdpEndpointOptions,
} from './udp/udp-endpoint.ts';

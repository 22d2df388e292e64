// SPDX-License-Identifier: Apache-2.0
export type { CoapOption, CoapOptions } from './options.ts';
export type {
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

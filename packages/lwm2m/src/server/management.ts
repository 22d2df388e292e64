// SPDX-License-Identifier: Apache-2.0
import type { RequestOptions } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import type { Node } from '../node.ts';
import type { PathLike } from '../path.ts';
import type { Lwm2mValue } from '../values.ts';
import type { Lwm2mResponse } from './response.ts';

export interface RawRequest {
  /** A CoAP method code: GET is 1. */
  method: number;
  path: PathLike;
  query?: readonly string[];
  payload?: Uint8Array;
  contentFormat?: number;
  accept?: number;
}

export interface ReadOptions extends RequestOptions {
  /** A content format; the client chooses where left out. */
  accept?: number;
}

export interface WriteOptions extends RequestOptions {
  /** The content format to send; chosen by path and value where left out. */
  contentFormat?: number;
  /** `replace` is PUT, `update` is POST: resources that are not named stay (LwM2M Core 1.1 §6.3.3). */
  mode?: 'replace' | 'update';
}

/** Notification attributes; `null` removes one (LwM2M Core 1.1 §5.1.2). Periods are seconds. */
export interface NotificationAttributes {
  pmin?: number | null;
  pmax?: number | null;
  gt?: number | null;
  lt?: number | null;
  st?: number | null;
}

export interface Observation {
  /** The first response; later ones went to the listener. */
  readonly first: Lwm2mResponse;
  cancel(): Promise<void>;
}

/**
 * The Device Management and Information Reporting interfaces towards one client (LwM2M Core 1.1 §6.3, §6.4). An answer
 * that is no success throws `lwm2m/refused` with its code as `status`; `request` and `observe` hand it over instead.
 */
export interface Management {
  read(path: PathLike, options?: ReadOptions): Promise<Node[]>;
  readComposite(paths: readonly PathLike[], options?: ReadOptions): Promise<Node[]>;
  /** A resource takes one value; an object instance takes nodes. */
  write(path: PathLike, value: Lwm2mValue | readonly Node[], options?: WriteOptions): Promise<void>;
  execute(path: PathLike, args?: string, options?: RequestOptions): Promise<void>;
  /** Answers the path of the new instance. */
  create(objectId: number, nodes: readonly Node[], options?: WriteOptions): Promise<string>;
  delete(path: PathLike, options?: RequestOptions): Promise<void>;
  discover(path: PathLike, options?: RequestOptions): Promise<Link[]>;
  writeAttributes(
    path: PathLike,
    attributes: NotificationAttributes,
    options?: RequestOptions,
  ): Promise<void>;
  /** The listener gets every notification, the one with an error code that ends the observation included. */
  observe(
    path: PathLike,
    listener: (notification: Lwm2mResponse) => void,
    options?: ReadOptions,
  ): Promise<Observation>;
  /** Any request; the answer whatever its code. */
  request(request: RawRequest, options?: RequestOptions): Promise<Lwm2mResponse>;
}

// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer, CoapRequest, RequestOptions } from '@mbl/coap';
import { Code, ContentFormat, findOption, locationPath, OptionNumber } from '@mbl/coap';
import { encodeNodes, encodePaths } from '../codecs/codecs.ts';
import type { Link } from '../codecs/link-format.ts';
import { decodeLinks } from '../codecs/link-format.ts';
import { typeOfNode } from '../codecs/single.ts';
import { message } from '../messages.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path, PathLike } from '../path.ts';
import { toPath } from '../path.ts';
import type { Lwm2mValue } from '../values.ts';
import { Lwm2mResponse } from './response.ts';

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
  /** False when the client answered without observing: the listener is never called. */
  readonly accepted: boolean;
  cancel(): Promise<void>;
}

/**
 * The Device Management and Information Reporting interfaces towards one client (LwM2M Core 1.1 §6.3, §6.4). An answer
 * that is no success throws `lwm2m/refused` with its code as `status`; `request` and `observe` hand it over instead.
 * What the connection does wrong throws `CoapError`.
 */
export abstract class Management {
  abstract readonly peer: CoapPeer;
  /** The types of the client's resources. */
  abstract readonly model: ObjectModel;
  /** The client's alternate path, `/` for most (LwM2M Core 1.1 §6.2.1). */
  abstract readonly root: string;
  /** A content format for more than one value that the client understands. */
  abstract readonly compositeFormat: number;
  /** The content format of its composite operations; throws `Lwm2mError` when it has none (LwM2M Core 1.1 §6.3.8). */
  abstract readonly senmlFormat: number;

  async read(path: PathLike, { accept, ...options }: ReadOptions = {}): Promise<Node[]> {
    return (await this.request({ method: Code.GET, path, ...given({ accept }) }, options)).nodes();
  }

  async readComposite(paths: readonly PathLike[], { accept, ...options }: ReadOptions = {}): Promise<Node[]> {
    const format = accept ?? this.senmlFormat;
    const payload = encodePaths(format, paths.map(toPath));
    const request = { method: Code.FETCH, path: '/', payload, contentFormat: format, accept: format };
    return (await this.request(request, options)).nodes();
  }

  /** A resource takes one value; an object instance, and a multiple resource, nodes. */
  async write(
    path: PathLike,
    value: Lwm2mValue | readonly Node[],
    { contentFormat, mode = 'replace', ...options }: WriteOptions = {},
  ): Promise<void> {
    const named = toPath(path);
    const nodes = isNodes(value) ? value : [{ path: named, value }];
    // A POST to a resource is Execute: resource instances are updated by way of their object instance (LwM2M Core 1.1 §6.3.3).
    const target = mode === 'update' ? named.slice(0, 2) : named;
    const format = contentFormat ?? this.#writeFormat(nodes, target);
    const payload = encodeNodes(format, nodes, target, this.model);
    const method = mode === 'replace' ? Code.PUT : Code.POST;
    (await this.request({ method, path: target, payload, contentFormat: format }, options)).check();
  }

  /** Resources of any objects, all of them or none (LwM2M Core 1.1 §6.3.9). */
  async writeComposite(nodes: readonly Node[], options?: RequestOptions): Promise<void> {
    const format = this.senmlFormat;
    const payload = encodeNodes(format, nodes, [], this.model);
    (await this.request({ method: Code.IPATCH, path: '/', payload, contentFormat: format }, options)).check();
  }

  async execute(path: PathLike, args = '', options?: RequestOptions): Promise<void> {
    const payload = new TextEncoder().encode(args);
    const format = args === '' ? {} : { contentFormat: ContentFormat.TEXT };
    (await this.request({ method: Code.POST, path, payload, ...format }, options)).check();
  }

  /** Answers the path of the new instance. */
  async create(
    objectId: number,
    nodes: readonly Node[],
    { contentFormat = this.compositeFormat, ...options }: WriteOptions = {},
  ): Promise<Path> {
    const payload = encodeNodes(contentFormat, nodes, [objectId], this.model);
    const request = this.#message({ method: Code.POST, path: [objectId], payload, contentFormat });
    const response = await this.peer.request(request, options);
    new Lwm2mResponse(response, [objectId], this.model).check();
    const location = locationPath(response.options);
    const [instance = []] =
      location.length === 0 ? nodes.map(({ path }) => path.slice(0, 2)) : [toPath(location.join('/'))];
    return instance;
  }

  async delete(path: PathLike, options?: RequestOptions): Promise<void> {
    (await this.request({ method: Code.DELETE, path }, options)).check();
  }

  async discover(path: PathLike, options?: RequestOptions): Promise<Link[]> {
    const response = await this.request({ method: Code.GET, path, accept: ContentFormat.LINK }, options);
    return decodeLinks(response.check().payload);
  }

  async writeAttributes(
    path: PathLike,
    attributes: NotificationAttributes,
    options?: RequestOptions,
  ): Promise<void> {
    const query = Object.entries(attributes).map(([name, value]) =>
      value === null ? name : `${name}=${value}`,
    );
    (await this.request({ method: Code.PUT, path, query }, options)).check();
  }

  /** The listener gets every notification, the one with an error code that ends the observation included. */
  async observe(
    path: PathLike,
    listener: (notification: Lwm2mResponse) => void,
    { accept, ...options }: ReadOptions = {},
  ): Promise<Observation> {
    const target = toPath(path);
    const observation = await this.peer.observe(
      this.#message({ method: Code.GET, path: target, ...given({ accept }) }),
      (response) => listener(new Lwm2mResponse(response, target, this.model)),
      options,
    );
    const first = new Lwm2mResponse(observation.first, target, this.model);
    const observe = findOption(observation.first.options, OptionNumber.OBSERVE);
    return {
      first,
      accepted: first.ok && observe !== undefined,
      cancel: () => observation.cancel(),
    };
  }

  /** Any request; the answer whatever its code. */
  async request(request: RawRequest, options?: RequestOptions): Promise<Lwm2mResponse> {
    const response = await this.peer.request(this.#message(request), options);
    return new Lwm2mResponse(response, toPath(request.path), this.model);
  }

  #message({ method, path, ...parts }: RawRequest): CoapRequest {
    const root = this.root.split('/').filter((segment) => segment !== '');
    return message(method, { ...parts, path: [...root, ...toPath(path).map(String)] });
  }

  #writeFormat(nodes: readonly Node[], target: Path): number {
    const [node] = nodes;
    if (nodes.length !== 1 || node?.path.length !== target.length) return this.compositeFormat;
    return typeOfNode(node, this.model) === 'opaque' ? ContentFormat.OCTET_STREAM : ContentFormat.TEXT;
  }
}

function isNodes(value: Lwm2mValue | readonly Node[]): value is readonly Node[] {
  return Array.isArray(value);
}

function given(options: { accept: number | undefined }): { accept?: number } {
  return options.accept === undefined ? {} : { accept: options.accept };
}

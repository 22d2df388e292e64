// SPDX-License-Identifier: Apache-2.0
import type { BodySink, Clock, CoapRequest, CoapResponse, RequestContext } from '@mbl/coap';
import { accept, Code, ContentFormat, contentFormat, uriPath, uriQuery } from '@mbl/coap';
import {
  compositeFormats,
  decodeNodes,
  decodePaths,
  encodeNodes,
  isSupportedFormat,
} from '../codecs/codecs.ts';
import { decodeUtf8 } from '../codecs/limits.ts';
import { encodeLinks } from '../codecs/link-format.ts';
import { Lwm2mError } from '../errors.ts';
import { parseExecuteArguments } from '../execute-arguments.ts';
import { errorResponse, message, queryMap } from '../messages.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { parseSegments } from '../path.ts';
import type { Attributes } from './attributes.ts';
import { AttributeStore } from './attributes.ts';
import { createInstance, deleteInstance } from './create.ts';
import { discoverLinks } from './links.ts';
import type { ObjectTree } from './object-tree.ts';
import { checkNotSecurity, notAllowed } from './object-tree.ts';
import { ServedObservation } from './observations.ts';
import type { InstanceFactory } from './options.ts';
import { readNodes } from './read.ts';
import { openStream } from './stream.ts';
import { writeComposite, writeNodes } from './write.ts';

export interface ServedEvents {
  written(path: Path): void;
  executed(path: Path): void;
  /** An instance came or went by the server's wish. */
  instancesChanged(): void;
}

export interface ServedRequestsOptions {
  tree: ObjectTree;
  clock: Clock;
  factories: Readonly<Record<number, InstanceFactory>>;
  events: ServedEvents;
}

/** Answers the Device Management and Information Reporting interfaces (LwM2M Core 1.1 §6.3, §6.4). */
export class ServedRequests {
  readonly #tree: ObjectTree;
  readonly #clock: Clock;
  readonly #factories: Readonly<Record<number, InstanceFactory>>;
  readonly #events: ServedEvents;
  readonly #attributes = new AttributeStore();
  readonly #observations = new Set<ServedObservation>();

  constructor({ tree, clock, factories, events }: ServedRequestsOptions) {
    this.#tree = tree;
    this.#clock = clock;
    this.#factories = factories;
    this.#events = events;
  }

  async handle(request: CoapRequest, context: RequestContext): Promise<CoapResponse> {
    try {
      const path = parseSegments(uriPath(request.options));
      return await this.#dispatch(request, path, context);
    } catch (error) {
      return errorResponse(error);
    }
  }

  /** Where a body in blocks goes that a resource takes as a stream; undefined: `handle` gets it whole. */
  open(first: CoapRequest): BodySink | CoapResponse | undefined {
    return openStream(this.#tree, first, (path) => this.#report([path]));
  }

  /** Tells the observers of a resource, or of what contains it, that it changed. */
  changed(path: Path): void {
    for (const observation of [...this.#observations]) {
      if (observation.concerns(path)) observation.evaluate();
    }
  }

  /** Forgets what belongs to an instance that left the tree. */
  removed(path: Path): void {
    this.#attributes.forget(path);
    this.changed(path);
  }

  stop(): void {
    for (const observation of [...this.#observations]) observation.stop();
  }

  #dispatch(request: CoapRequest, path: Path, context: RequestContext): Promise<CoapResponse> {
    switch (request.code) {
      case Code.GET:
        return accept(request.options) === ContentFormat.LINK
          ? this.#discover(path)
          : this.#read(request, [path], path, context);
      case Code.FETCH:
        return this.#readComposite(request, path, context);
      case Code.PUT:
        return this.#put(request, path);
      case Code.POST:
        return this.#post(request, path);
      case Code.IPATCH:
        return this.#writeComposite(request, path);
      case Code.DELETE:
        return this.#delete(path);
      default:
        throw notAllowed(path, 'this method');
    }
  }

  async #discover(path: Path): Promise<CoapResponse> {
    const links = await discoverLinks(this.#tree, this.#attributes, path);
    return message(Code.CONTENT, { contentFormat: ContentFormat.LINK, payload: encodeLinks(links) });
  }

  async #readComposite(request: CoapRequest, path: Path, context: RequestContext): Promise<CoapResponse> {
    if (path.length > 0) throw notAllowed(path, 'Read-Composite');
    const paths = decodePaths(requiredFormat(request), request.payload);
    return this.#read(request, paths, path, context);
  }

  /** Read and Observe. `base` is the path of the request: `/` for the composite operations. */
  async #read(
    request: CoapRequest,
    paths: readonly Path[],
    base: Path,
    context: RequestContext,
  ): Promise<CoapResponse> {
    if (request.code === Code.GET && base.length === 0) throw notAllowed(base, 'Read');
    const composite = request.code === Code.FETCH;
    const read = composite ? () => this.#readAvailable(paths) : () => readNodes(this.#tree, base);
    const nodes = await read();
    const respond = (current: readonly Node[]): CoapResponse => this.#content(request, current, base);
    const first = respond(nodes);
    const observer = context.acceptObserve?.();
    if (observer !== undefined) {
      const attributes = (): Promise<Attributes> => this.#attributesFor(composite ? undefined : base);
      const observation: ServedObservation = new ServedObservation({
        paths,
        source: { read, respond, attributes },
        observer,
        clock: this.#clock,
        sent: nodes,
        onEnd: () => this.#observations.delete(observation),
      });
      this.#observations.add(observation);
      observation.start();
    }
    return first;
  }

  /** A composite read leaves out what is not there (LwM2M Core 1.1 §6.3.8). */
  async #readAvailable(paths: readonly Path[]): Promise<Node[]> {
    const nodes: Node[] = [];
    for (const path of paths) {
      try {
        nodes.push(...(await readNodes(this.#tree, path)));
      } catch (error) {
        if (!(error instanceof Lwm2mError) || error.status === Code.INTERNAL_SERVER_ERROR) throw error;
      }
    }
    return nodes;
  }

  async #attributesFor(path: Path | undefined): Promise<Attributes> {
    const [server] = this.#tree.instances([1]);
    const period = async (resourceId: number): Promise<number> =>
      Number((await server?.read(resourceId)) ?? 0);
    const defaults = { pmin: await period(2), pmax: await period(3) };
    return path === undefined ? defaults : { ...defaults, ...this.#attributes.effective(path) };
  }

  #content(request: CoapRequest, nodes: readonly Node[], base: Path): CoapResponse {
    const wanted = accept(request.options);
    if (wanted !== undefined && !isSupportedFormat(wanted)) throw notAcceptable(wanted);
    const format = wanted ?? this.#preferredFormat(nodes, base);
    try {
      return message(Code.CONTENT, {
        contentFormat: format,
        payload: encodeNodes(format, nodes, base, this.#tree.model),
      });
    } catch (cause) {
      throw cause instanceof Lwm2mError ? notAcceptable(format, cause) : cause;
    }
  }

  #preferredFormat(nodes: readonly Node[], base: Path): number {
    const [node] = nodes;
    if (nodes.length !== 1 || node?.path.length !== base.length || this.#tree.isPrivate(base[0] ?? 0))
      return ContentFormat.SENML_JSON;
    return node.value instanceof Uint8Array ? ContentFormat.OCTET_STREAM : ContentFormat.TEXT;
  }

  async #put(request: CoapRequest, path: Path): Promise<CoapResponse> {
    const query = uriQuery(request.options);
    if (query.length > 0 && request.payload.length === 0) return this.#writeAttributes(path, query);
    return this.#write(request, path, 'replace');
  }

  async #writeAttributes(path: Path, query: readonly string[]): Promise<CoapResponse> {
    checkNotSecurity(path);
    if (path.length === 0) throw notAllowed(path, 'Write-Attributes');
    // The path must exist: discovering it throws otherwise.
    await discoverLinks(this.#tree, this.#attributes, path);
    this.#attributes.write(path, queryMap(query), this.#tree.model);
    this.changed(path);
    return message(Code.CHANGED);
  }

  async #write(request: CoapRequest, path: Path, mode: 'replace' | 'update'): Promise<CoapResponse> {
    checkNotSecurity(path);
    if (path.length < 2) throw notAllowed(path, 'Write');
    const format = contentFormat(request.options) ?? this.#defaultWriteFormat(path);
    const nodes = decodeNodes(format, request.payload, path, this.#tree.model);
    this.#report(await writeNodes(this.#tree, path, nodes, mode));
    return message(Code.CHANGED);
  }

  /** A payload that does not say its format is the value itself. */
  #defaultWriteFormat(path: Path): number {
    return this.#tree.model.resource(path)?.type === 'opaque'
      ? ContentFormat.OCTET_STREAM
      : ContentFormat.TEXT;
  }

  async #writeComposite(request: CoapRequest, path: Path): Promise<CoapResponse> {
    if (path.length > 0) throw notAllowed(path, 'Write-Composite');
    const nodes = decodeNodes(requiredFormat(request), request.payload, path, this.#tree.model);
    this.#report(await writeComposite(this.#tree, nodes));
    return message(Code.CHANGED);
  }

  #report(written: readonly Path[]): void {
    for (const path of written) {
      this.changed(path);
      this.#events.written(path);
    }
  }

  async #post(request: CoapRequest, path: Path): Promise<CoapResponse> {
    checkNotSecurity(path);
    const [objectId] = path;
    if (objectId === undefined || path.length === 4) throw notAllowed(path, 'this method');
    if (path.length === 1) return this.#create(request, objectId);
    if (path.length === 2) return this.#write(request, path, 'update');
    const definition = this.#tree.resource(this.#tree.instance(path), path[2] ?? 0);
    if (definition.operations === 'E') return this.#execute(request, path);
    if (definition.multiple) return this.#write(request, path, 'update');
    throw notAllowed(path, 'Execute');
  }

  async #execute(request: CoapRequest, path: Path): Promise<CoapResponse> {
    const instance = this.#tree.instance(path);
    if (instance.execute === undefined) throw notAllowed(path, 'Execute');
    const format = contentFormat(request.options) ?? ContentFormat.TEXT;
    if (format !== ContentFormat.TEXT) throw unsupported(format);
    const args = parseExecuteArguments(decodeUtf8(request.payload, 'text/plain'));
    await instance.execute(path[2] ?? 0, args);
    this.#events.executed(path);
    return message(Code.CHANGED);
  }

  async #create(request: CoapRequest, objectId: number): Promise<CoapResponse> {
    const factory = this.#factories[objectId];
    const format = requiredFormat(request);
    if (!compositeFormats.includes(format)) throw unsupported(format);
    const instance = await createInstance(this.#tree, objectId, format, request.payload, factory);
    this.#events.instancesChanged();
    this.changed([objectId, instance]);
    return message(Code.CREATED, { location: [String(objectId), String(instance)] });
  }

  async #delete(path: Path): Promise<CoapResponse> {
    checkNotSecurity(path);
    await deleteInstance(this.#tree, path);
    this.removed(path);
    this.#events.instancesChanged();
    return message(Code.DELETED);
  }
}

function requiredFormat(request: CoapRequest): number {
  const format = contentFormat(request.options);
  if (format === undefined) {
    throw new Lwm2mError('lwm2m/format-unsupported', 'the request names no content format', {
      status: Code.UNSUPPORTED_CONTENT_FORMAT,
    });
  }
  return format;
}

function unsupported(format: number): Lwm2mError {
  return new Lwm2mError('lwm2m/format-unsupported', `content format ${format} is not supported here`, {
    status: Code.UNSUPPORTED_CONTENT_FORMAT,
  });
}

function notAcceptable(format: number, cause?: Error): Lwm2mError {
  return new Lwm2mError('lwm2m/not-acceptable', `content format ${format} cannot carry the answer`, {
    status: Code.NOT_ACCEPTABLE,
    cause,
  });
}

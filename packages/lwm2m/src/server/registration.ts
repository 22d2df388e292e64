// SPDX-License-Identifier: Apache-2.0
import { Code, type CoapPeer, ContentFormat } from '@mbl/coap';
import { compositeFormats } from '../codecs/codecs.ts';
import type { Link } from '../codecs/link-format.ts';
import { linkPath } from '../codecs/link-format.ts';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Path } from '../path.ts';
import type { ObjectRegistry } from '../registry/registry.ts';
import { Management } from './management.ts';
import type { RegisterRequest, RegistrationChanges } from './options.ts';

export interface RegistrationInit<Identity> {
  request: RegisterRequest;
  identity: Identity;
  location: string;
  peer: CoapPeer;
  registry: ObjectRegistry;
}

/** One registered client: what it said, and the operations on it. */
export class Registration<Identity> extends Management {
  /** The registration as it is now, updates included. */
  info: RegisterRequest;
  readonly identity: Identity;
  /** For example `rd/0199aabb`. */
  readonly location: string;
  /** The connection of the latest Register or Update. */
  peer: CoapPeer;
  readonly #registry: ObjectRegistry;
  #model: ObjectModel | undefined;

  constructor({ request, identity, location, peer, registry }: RegistrationInit<Identity>) {
    super();
    this.#registry = registry;
    this.info = request;
    this.identity = identity;
    this.location = location;
    this.peer = peer;
  }

  get endpoint(): string {
    return this.info.endpoint;
  }

  /** Seconds; 0 has no end. */
  get lifetime(): number {
    return this.info.lifetime;
  }

  get binding(): string {
    return this.info.binding;
  }

  get version(): string {
    return this.info.version;
  }

  get queueMode(): boolean {
    return this.info.queueMode;
  }

  get parameters(): ReadonlyMap<string, string> {
    return this.info.parameters;
  }

  /** The links of the registration as they came. */
  get objects(): readonly Link[] {
    return this.info.objects;
  }

  /**
   * The content format for more than one value: the first of ours that the client names (`ct` of its root link), else what its version has to
   * know: TLV is all that 1.0 has (LwM2M Core 1.0 §6.4, 1.1 §7.4).
   */
  get compositeFormat(): number {
    const named = this.#rootLink?.attributes.get('ct')?.split(/\s+/).map(Number) ?? [];
    const byVersion = this.version === '1.0' ? ContentFormat.LWM2M_TLV : ContentFormat.SENML_JSON;
    return compositeFormats.find((format) => named.includes(format)) ?? byVersion;
  }

  /** Composite operations came with 1.1, and name their resources in SenML (LwM2M Core 1.1 §6.3.8). */
  get senmlFormat(): number {
    if (this.version === '1.0') {
      throw new Lwm2mError(
        'lwm2m/not-allowed',
        'the client speaks LwM2M 1.0, which has no composite operations',
        {
          status: Code.METHOD_NOT_ALLOWED,
        },
      );
    }
    const format = this.compositeFormat;
    if (format === ContentFormat.SENML_JSON || format === ContentFormat.SENML_CBOR) return format;
    throw new Lwm2mError('lwm2m/format-unsupported', 'the client has registered no SenML', {
      status: Code.UNSUPPORTED_CONTENT_FORMAT,
    });
  }

  get #rootLink(): Link | undefined {
    const named = this.objects.find(({ attributes }) => attributes.get('rt') === 'oma.lwm2m');
    // A client without an alternate path need not call it by its type.
    return named ?? this.objects.find(({ target }) => target === '/');
  }

  /** The client's alternate path: the target of the link with `rt="oma.lwm2m"` (LwM2M Core 1.1 §6.2.1). */
  get root(): string {
    return this.#rootLink?.target ?? '/';
  }

  /** The LwM2M paths among the links: objects, instances, and the resources that some clients list. */
  get paths(): Path[] {
    return this.objects
      .map((link) => linkPath(link, this.root))
      .filter((path) => path !== undefined && path.length > 0)
      .map((path) => path ?? []);
  }

  /** The types of its resources, by the versions of its objects that it registered (`ver`, LwM2M Core 1.1 §7.2.2). */
  get model(): ObjectModel {
    this.#model ??= this.#registry.model(this.#versions);
    return this.#model;
  }

  get #versions(): Map<number, string> {
    const versions = new Map<number, string>();
    for (const link of this.objects) {
      const [objectId] = linkPath(link, this.root) ?? [];
      const version = link.attributes.get('ver');
      if (objectId !== undefined && typeof version === 'string' && !versions.has(objectId))
        versions.set(objectId, version);
    }
    return versions;
  }

  apply({ lifetime, binding, objects, peer }: RegistrationChanges): void {
    this.info = {
      ...this.info,
      ...(lifetime !== undefined && { lifetime }),
      ...(binding !== undefined && { binding }),
      ...(objects !== undefined && { objects }),
    };
    if (objects !== undefined) this.#model = undefined;
    if (peer !== undefined) this.peer = peer;
  }
}

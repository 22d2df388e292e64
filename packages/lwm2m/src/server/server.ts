// SPDX-License-Identifier: Apache-2.0
import type { Clock, CoapPeer, CoapRequest, CoapResponse, RequestHandler, Timer } from '@mbl/coap';
import { Code, ContentFormat, contentFormat, systemClock, uriPath } from '@mbl/coap';
import { decodeNodes } from '../codecs/codecs.ts';
import { Lwm2mError } from '../errors.ts';
import { errorResponse, message } from '../messages.ts';
import type { ObjectRegistry } from '../registry/registry.ts';
import { omaRegistry } from '../registry/registry.ts';
import type { DeregistrationReason, RegisterRequest, ServerOptions } from './options.ts';
import { parseRegister, parseUpdate } from './register-request.ts';
import { Registration } from './registration.ts';

interface Held<Identity> {
  registration: Registration<Identity>;
  expiry: Timer;
}

/** The server side of the Registration interface (LwM2M Core 1.1 §6.2): who is registered, and until when; and what clients send by themselves. */
export class Lwm2mServer<Identity> implements Disposable {
  readonly #options: ServerOptions<Identity>;
  readonly #clock: Clock;
  readonly #registry: ObjectRegistry;
  readonly #byEndpoint = new Map<string, Held<Identity>>();
  readonly #byLocation = new Map<string, Held<Identity>>();
  readonly #byPeer = new WeakMap<CoapPeer, Registration<Identity>>();

  constructor(options: ServerOptions<Identity>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#registry = options.registry ?? omaRegistry;
  }

  /** Answers `/rd` and what lies below it, for one connection whose peer proved `identity`. */
  handler(identity: Identity): RequestHandler {
    return async (request, { peer }) => {
      try {
        return await this.#dispatch(request, identity, peer);
      } catch (error) {
        return errorResponse(error);
      }
    };
  }

  get registrations(): readonly Registration<Identity>[] {
    return Array.from(this.#byEndpoint.values(), ({ registration }) => registration);
  }

  registration(endpoint: string): Registration<Identity> | undefined {
    return this.#byEndpoint.get(endpoint)?.registration;
  }

  /** Forgets a registration, for example when its connection closed. One that another replaced is left alone. */
  remove(registration: Registration<Identity>): void {
    this.#end(registration, 'removed');
  }

  /** Forgets every registration without telling. */
  [Symbol.dispose](): void {
    for (const { expiry } of this.#byEndpoint.values()) expiry.cancel();
    this.#byEndpoint.clear();
    this.#byLocation.clear();
  }

  async #dispatch(request: CoapRequest, identity: Identity, peer: CoapPeer): Promise<CoapResponse> {
    const path = uriPath(request.options).join('/');
    if (path === 'rd') {
      if (request.code !== Code.POST) return message(Code.METHOD_NOT_ALLOWED);
      const named = this.#options.endpointName?.(identity);
      return this.#register(parseRegister(request, named), identity, peer);
    }
    if (path === 'dp') return this.#send(request, peer);
    const held = this.#byLocation.get(path);
    if (held === undefined) return message(Code.NOT_FOUND);
    const { registration } = held;
    if (request.code !== Code.POST && request.code !== Code.DELETE) return message(Code.METHOD_NOT_ALLOWED);
    await this.#authorize(registration.info, identity, peer);
    if (request.code === Code.DELETE) {
      this.#end(registration, 'deregistered');
      return message(Code.DELETED);
    }
    return this.#update(held, request, peer);
  }

  async #register(request: RegisterRequest, identity: Identity, peer: CoapPeer): Promise<CoapResponse> {
    await this.#authorize(request, identity, peer);
    const location = this.#options.location(request, identity);
    const previous = this.registration(request.endpoint);
    if (previous !== undefined) this.#end(previous, 'replaced');
    const registration = new Registration({ request, identity, location, peer, registry: this.#registry });
    const held = { registration, expiry: this.#expiry(registration) };
    this.#byEndpoint.set(request.endpoint, held);
    this.#byLocation.set(location, held);
    this.#byPeer.set(peer, registration);
    try {
      await this.#options.onRegister?.(registration);
    } catch (error) {
      this.#forget(registration);
      throw error;
    }
    return message(Code.CREATED, { location: location.split('/') });
  }

  async #update(held: Held<Identity>, request: CoapRequest, peer: CoapPeer): Promise<CoapResponse> {
    const { registration } = held;
    const changes = { ...parseUpdate(request), ...(peer !== registration.peer && { peer }) };
    if (!this.#isCurrent(registration)) return message(Code.NOT_FOUND);
    registration.apply(changes);
    this.#byPeer.set(peer, registration);
    held.expiry.cancel();
    held.expiry = this.#expiry(registration);
    await this.#options.onUpdate?.(registration, changes);
    return message(Code.CHANGED);
  }

  async #send(request: CoapRequest, peer: CoapPeer): Promise<CoapResponse> {
    const registration = this.#byPeer.get(peer);
    // Only of a client that is registered, and over the connection on which it is (LwM2M Core 1.1 §6.4, Send).
    if (this.#options.onSend === undefined || registration?.peer !== peer || !this.#isCurrent(registration))
      return message(Code.NOT_FOUND);
    if (request.code !== Code.POST) return message(Code.METHOD_NOT_ALLOWED);
    const format = contentFormat(request.options) ?? ContentFormat.TEXT;
    if (format !== ContentFormat.SENML_JSON && format !== ContentFormat.SENML_CBOR) {
      throw new Lwm2mError('lwm2m/format-unsupported', 'what is sent must be SenML', {
        status: Code.UNSUPPORTED_CONTENT_FORMAT,
      });
    }
    await this.#options.onSend(registration, decodeNodes(format, request.payload, [], registration.model));
    return message(Code.CHANGED);
  }

  #isCurrent(registration: Registration<Identity>): boolean {
    return this.registration(registration.endpoint) === registration;
  }

  async #authorize(request: RegisterRequest, identity: Identity, peer: CoapPeer): Promise<void> {
    try {
      await this.#options.authorize(request, identity, peer);
    } catch (error) {
      if (!(error instanceof Lwm2mError) || error.status !== undefined) throw error;
      throw new Lwm2mError(error.code, error.message, { status: Code.FORBIDDEN, cause: error });
    }
  }

  #expiry(registration: Registration<Identity>): Timer {
    if (registration.lifetime === 0) return { cancel: () => {} };
    const endsAt = this.#clock.now() + registration.lifetime * 1000;
    let timer: Timer;
    const arm = (): Timer => {
      timer = this.#clock.schedule(endsAt - this.#clock.now(), () => {
        // Timers may fire early: a delay has an upper limit.
        if (this.#clock.now() < endsAt) arm();
        else this.#end(registration, 'expired');
      });
      return timer;
    };
    arm();
    return { cancel: () => timer.cancel() };
  }

  #end(registration: Registration<Identity>, reason: DeregistrationReason): void {
    if (this.#forget(registration)) this.#options.onDeregister?.(registration, reason);
  }

  /** False when the registration was forgotten or replaced before. */
  #forget(registration: Registration<Identity>): boolean {
    const held = this.#byEndpoint.get(registration.endpoint);
    if (held?.registration !== registration) return false;
    held.expiry.cancel();
    this.#byEndpoint.delete(registration.endpoint);
    if (this.#byLocation.get(registration.location) === held) this.#byLocation.delete(registration.location);
    return true;
  }
}

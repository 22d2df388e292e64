// SPDX-License-Identifier: Apache-2.0
import type { Clock, CoapPeer, CoapResponse, RequestOptions, Timer } from '@mbl/coap';
import { Code, ContentFormat, formatCode, locationPath } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import { message } from '../messages.ts';
import type { ClientState } from './options.ts';

/** What a registration says; read anew each time it is sent. */
export interface RegistrationContent {
  /** Seconds. */
  lifetime: number;
  /** The link-format document. */
  payload: Uint8Array;
}

export interface RegistrationKeeperOptions {
  endpointName: string;
  binding: string;
  parameters: Readonly<Record<string, string>>;
  clock: Clock;
  timeoutMs: number;
  content: () => Promise<RegistrationContent>;
  onState: (state: ClientState) => void;
}

interface Current {
  peer: CoapPeer;
  location: readonly string[];
  sent: RegistrationContent;
  expiresAt: number;
}

/** The client side of the Registration interface (LwM2M Core 1.1 §6.2): registers and updates before the lifetime ends. */
export class RegistrationKeeper {
  readonly #options: RegistrationKeeperOptions;
  #peer: CoapPeer | undefined;
  #current: Current | undefined;
  #timer: Timer | undefined;
  #update: Promise<void> | undefined;
  #updateAgain: Promise<void> | undefined;

  constructor(options: RegistrationKeeperOptions) {
    this.#options = options;
  }

  get registered(): boolean {
    return this.#current !== undefined;
  }

  /** Registers over this peer in place of an earlier one. Rejects with the reason it was not possible. */
  async attach(peer: CoapPeer, options: RequestOptions = {}): Promise<void> {
    this.#drop();
    this.#peer = peer;
    if (peer.closed.aborted) return this.#fail(peer, connectionLost(peer));
    peer.closed.addEventListener('abort', () => this.#lost(peer, connectionLost(peer)), { once: true });
    try {
      await this.#register(peer, options);
    } catch (error) {
      this.#fail(peer, error);
    }
  }

  async #register(peer: CoapPeer, options: RequestOptions): Promise<void> {
    const { endpointName, binding, parameters, onState } = this.#options;
    const more = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
    onState({ state: 'registering' });
    const sent = await this.#options.content();
    const request = message(Code.POST, {
      path: ['rd'],
      query: [`ep=${endpointName}`, `lt=${sent.lifetime}`, 'lwm2m=1.1', `b=${binding}`, ...more],
      contentFormat: ContentFormat.LINK,
      payload: sent.payload,
    });
    const startedAt = this.#options.clock.now();
    const response = await this.#request(peer, request, options);
    if (response.code !== Code.CREATED) throw refused('Register', response);
    const location = locationPath(response.options);
    if (location.length === 0)
      throw new Lwm2mError('lwm2m/answer-invalid', 'Register was answered without a location');
    if (this.#peer !== peer) throw new Lwm2mError('lwm2m/replaced', 'another peer was attached meanwhile');
    this.#keep({ peer, location, sent, expiresAt: startedAt + sent.lifetime * 1000 });
    onState({ state: 'registered', location: location.join('/'), lifetime: sent.lifetime });
  }

  /** Sends an Update that starts no earlier than this call. Rejects when there is no registration or it was lost. */
  update(options: RequestOptions = {}): Promise<void> {
    if (this.#update === undefined) {
      this.#update = this.#runUpdate(options).finally(() => {
        this.#update = undefined;
      });
      return this.#update;
    }
    this.#updateAgain ??= this.#update
      .catch(() => undefined)
      .then(() => {
        this.#updateAgain = undefined;
        return this.update(options);
      });
    return this.#updateAgain;
  }

  async #runUpdate(options: RequestOptions): Promise<void> {
    const current = this.#current;
    if (current === undefined)
      throw new Lwm2mError('lwm2m/not-registered', 'there is no registration to update');
    try {
      if (!(await this.#sendUpdate(current, options))) await this.#register(current.peer, options);
    } catch (error) {
      this.#fail(current.peer, error);
    }
  }

  /** False when the server does not know the registration any more (LwM2M Core 1.1 §6.2.2): register again. */
  async #sendUpdate(current: Current, options: RequestOptions): Promise<boolean> {
    const next = await this.#options.content();
    const startedAt = this.#options.clock.now();
    const sameLinks = Buffer.compare(next.payload, current.sent.payload) === 0;
    const request = message(Code.POST, {
      path: current.location,
      query: next.lifetime === current.sent.lifetime ? [] : [`lt=${next.lifetime}`],
      ...(!sameLinks && { contentFormat: ContentFormat.LINK, payload: next.payload }),
    });
    const response = await this.#request(current.peer, request, options);
    if (response.code >> 5 === 4) return false;
    if (response.code !== Code.CHANGED) throw refused('Update', response);
    if (this.#current !== current) return true;
    this.#keep({ ...current, sent: next, expiresAt: startedAt + next.lifetime * 1000 });
    this.#options.onState({
      state: 'updated',
      location: current.location.join('/'),
      lifetime: next.lifetime,
    });
    return true;
  }

  /** Does nothing when there is no registration. */
  async deregister(options: RequestOptions = {}): Promise<void> {
    const current = this.#current;
    this.#drop();
    if (current === undefined) return;
    const response = await this.#request(
      current.peer,
      message(Code.DELETE, { path: current.location }),
      options,
    );
    if (response.code !== Code.DELETED && response.code !== Code.NOT_FOUND)
      throw refused('Deregister', response);
    this.#options.onState({ state: 'deregistered' });
  }

  #request(
    peer: CoapPeer,
    request: ReturnType<typeof message>,
    options: RequestOptions,
  ): Promise<CoapResponse> {
    return peer.request(request, { timeoutMs: this.#options.timeoutMs, ...options });
  }

  #keep(current: Current): void {
    this.#current = current;
    this.#timer?.cancel();
    // A minute before the end leaves time for a slow network; short lifetimes are renewed half-way.
    const margin = Math.min(current.sent.lifetime / 2, 60) * 1000;
    const wait = (): void => {
      const remaining = current.expiresAt - margin - this.#options.clock.now();
      // Timers may fire early: a delay has an upper limit.
      this.#timer = this.#options.clock.schedule(Math.max(remaining, 0), () =>
        this.#options.clock.now() < current.expiresAt - margin ? wait() : this.#renew(),
      );
    };
    wait();
  }

  /** A failure has been told as the state `lost`. */
  #renew(): void {
    this.update().catch(() => undefined);
  }

  #drop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#current = undefined;
    this.#peer = undefined;
  }

  #lost(peer: CoapPeer, cause: Error): void {
    if (this.#peer !== peer) return;
    this.#drop();
    this.#options.onState({ state: 'lost', cause });
  }

  #fail(peer: CoapPeer, error: unknown): never {
    this.#lost(peer, error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

function refused(operation: string, response: CoapResponse): Lwm2mError {
  const said = new TextDecoder().decode(response.payload.subarray(0, 200));
  return new Lwm2mError(
    'lwm2m/refused',
    `the server answered ${operation} with ${formatCode(response.code)}${said === '' ? '' : `: ${said}`}`,
    { status: response.code },
  );
}

function connectionLost(peer: CoapPeer): Error {
  const reason: unknown = peer.closed.reason;
  return new Lwm2mError('lwm2m/connection-lost', 'the connection to the server ended', { cause: reason });
}

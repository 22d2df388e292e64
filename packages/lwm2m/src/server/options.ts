// SPDX-License-Identifier: Apache-2.0
import type { Clock, CoapPeer } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import type { Node } from '../node.ts';
import type { ObjectRegistry } from '../registry/registry.ts';
import type { Registration } from './registration.ts';

/** What a client says when it registers (LwM2M Core 1.1 §6.2.1). */
export interface RegisterRequest {
  endpoint: string;
  /** Seconds; 0 has no end (LwM2M Core 1.1, object 1, resource 1). */
  lifetime: number;
  version: string;
  binding: string;
  queueMode: boolean;
  /** Every query parameter as it came, for example Pelion's `d`, `et`, `aid`, `mccv`. */
  parameters: ReadonlyMap<string, string>;
  objects: readonly Link[];
}

/** What an update changed (LwM2M Core 1.1 §6.2.2). */
export interface RegistrationChanges {
  lifetime?: number;
  binding?: string;
  objects?: readonly Link[];
  /** The update came over another connection. */
  peer?: CoapPeer;
}

export type DeregistrationReason = 'deregistered' | 'expired' | 'replaced' | 'removed';

/** `Identity` is what the transport proved about the peer, for example its certificate. */
export interface ServerOptions<Identity> {
  /** The name of a client that gives none, because its identity says it (LwM2M Core 1.1 §6.2.1); without one it is refused. */
  endpointName?(identity: Identity): string | undefined;
  /** Throws `Lwm2mError` to refuse; its `status` is the answer (4.03 where it has none). */
  authorize(request: RegisterRequest, identity: Identity, peer: CoapPeer): void | Promise<void>;
  /** The path of a new registration, for example `rd/0199aabb`: what updates are sent to. Unique for each registration. */
  location(request: RegisterRequest, identity: Identity): string;
  /** Awaited before the client is answered; throwing refuses the registration. */
  onRegister?(registration: Registration<Identity>): void | Promise<void>;
  onUpdate?(registration: Registration<Identity>, changes: RegistrationChanges): void | Promise<void>;
  /** Values that a client reports by itself (Send, LwM2M Core 1.1 §6.4). Awaited before it is answered; without it Send is not served. */
  onSend?(registration: Registration<Identity>, nodes: readonly Node[]): void | Promise<void>;
  onDeregister?(registration: Registration<Identity>, reason: DeregistrationReason): void;
  /** What types the clients' resources have; OMA's registry where left out. */
  registry?: ObjectRegistry;
  clock?: Clock;
}

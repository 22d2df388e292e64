// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer } from '@mbl/coap';
import {
  Management,
  type Lwm2mResponse,
  type ObjectModel,
  type Observation,
  type Path,
  type PathLike,
  type ReadOptions,
  type Registration,
} from '@mbl/lwm2m';
import type { DeviceIdentity } from './connections.ts';

/** The session of a device that can be asked at this moment, by the device's id. */
export type Reach = (deviceId: string) => DeviceSession | undefined;

/**
 * A device that can be asked: from the moment at which it shows its registration over a connection until that connection or that registration
 * ends, or it shows a registration anew. What is observed of it ends with it: on the same connection the device would go on otherwise.
 */
export class DeviceSession extends Management {
  readonly identity: DeviceIdentity;
  /** The connection of this session: that of the registration may be a later one. */
  readonly peer: CoapPeer;
  /** What subscribers have of the device, by path. */
  readonly subscribed = new Map<string, Observation>();
  readonly #registration: Registration<DeviceIdentity>;
  readonly #observations = new Set<Observation>();
  readonly #ending = new AbortController();

  constructor(registration: Registration<DeviceIdentity>) {
    super();
    this.#registration = registration;
    this.identity = registration.identity;
    this.peer = registration.peer;
  }

  /** Whether it has ended. */
  get over(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Aborted when it ends. */
  get ended(): AbortSignal {
    return this.#ending.signal;
  }

  get queueMode(): boolean {
    return this.#registration.queueMode;
  }

  /** Of the registration, in seconds; 0 has no end. */
  get lifetime(): number {
    return this.#registration.lifetime;
  }

  get parameters(): ReadonlyMap<string, string> {
    return this.#registration.parameters;
  }

  /** The LwM2M paths that the device has registered. */
  get paths(): Path[] {
    return this.#registration.paths;
  }

  get model(): ObjectModel {
    return this.#registration.model;
  }

  get root(): string {
    return this.#registration.root;
  }

  get compositeFormat(): number {
    return this.#registration.compositeFormat;
  }

  get senmlFormat(): number {
    return this.#registration.senmlFormat;
  }

  /** As that of any client, and for as long as the session lasts. */
  override async observe(
    path: PathLike,
    listener: (notification: Lwm2mResponse) => void,
    options?: ReadOptions,
  ): Promise<Observation> {
    const held: { observation?: Observation; ended: boolean } = { ended: false };
    const forget = (): void => {
      held.ended = true;
      if (held.observation !== undefined) this.#observations.delete(held.observation);
    };
    const notified = (notification: Lwm2mResponse): void => {
      // RFC 7641 §4.2: an error ends the observation. It may come before the first answer is complete.
      if (!notification.ok) forget();
      listener(notification);
    };
    const made = await super.observe(path, notified, options);
    const cancel = async (): Promise<void> => {
      forget();
      await made.cancel();
    };
    const observation = { ...made, cancel };
    held.observation = observation;
    if (this.over) quietly(observation);
    else if (observation.accepted && !held.ended) this.#observations.add(observation);
    return observation;
  }

  end(): void {
    if (this.over) return;
    this.#ending.abort();
    for (const observation of this.#observations) quietly(observation);
  }
}

/** A device that is gone has forgotten by itself. */
function quietly(observation: Observation): void {
  observation.cancel().catch(() => undefined);
}

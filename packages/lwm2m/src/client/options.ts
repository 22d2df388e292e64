// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@mbl/coap';
import type { ObjectModel } from '../model/model.ts';
import type { ResourceValue } from '../values.ts';
import type { ObjectInstance } from './instance.ts';

export type ClientState =
  | { state: 'registering' }
  | { state: 'registered'; location: string; lifetime: number }
  /** An update was accepted: the registration holds for another lifetime. */
  | { state: 'updated'; location: string; lifetime: number }
  /** The registration or its connection is gone; attach another peer. */
  | { state: 'lost'; cause: Error }
  | { state: 'deregistered' };

/** Makes an instance that the server creates; throws `Lwm2mError` to refuse. */
export type InstanceFactory = (
  instanceId: number,
  values: ReadonlyMap<number, ResourceValue>,
) => ObjectInstance | Promise<ObjectInstance>;

export interface ClientOptions {
  endpointName: string;
  /** Must hold one instance of object 1: its resource 1 is the lifetime. See `serverObject`. */
  objects: readonly ObjectInstance[];
  /** Objects of which the server may create instances, by object id. */
  factories?: Readonly<Record<number, InstanceFactory>>;
  model?: ObjectModel;
  clock?: Clock;
  /** `b` of the registration; `T` where left out. */
  binding?: string;
  /** More parameters of the registration (RFC 9176 §9.3), by name; a server that does not know one passes over it. */
  parameters?: Readonly<Record<string, string>>;
  onState?: (state: ClientState) => void;
  /** How long Register, Update and Deregister wait for an answer, in milliseconds; 30 000 where left out. */
  timeoutMs?: number;
}

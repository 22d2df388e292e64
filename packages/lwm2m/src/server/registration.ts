// SPDX-License-Identifier: Apache-2.0
import type { CoapPeer } from '@mbl/coap';
import type { Link } from '../codecs/link-format.ts';
import type { Management } from './management.ts';

/** One registered client: what it said, and the operations on it. */
export interface Registration<Identity> extends Management {
  readonly endpoint: string;
  readonly identity: Identity;
  /** For example `rd/0199aabb`. */
  readonly location: string;
  readonly version: string;
  readonly parameters: ReadonlyMap<string, string>;
  /** Seconds. */
  readonly lifetime: number;
  readonly binding: string;
  readonly queueMode: boolean;
  readonly objects: readonly Link[];
  readonly peer: CoapPeer;
}

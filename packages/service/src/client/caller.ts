// SPDX-License-Identifier: Apache-2.0
import type { Filter } from './types.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the call may take, in milliseconds; what the client has for all calls where it is absent. */
  readonly timeoutMs?: number;
}

export interface ListOptions extends CallOptions {
  readonly filter?: Filter;
  readonly order?: 'ASC' | 'DESC';
  /** At most this many items; all when absent. */
  readonly limit?: number;
}

/** How the parts of a client ask the service. */
export interface Caller {
  call<T>(method: string, path: string, body: unknown, options: CallOptions): Promise<T>;
  /** Bytes as they are. */
  send(method: string, path: string, body: Uint8Array, options: CallOptions): Promise<void>;
  /** Over all pages. */
  list<Item extends { id: string }>(path: string, options: ListOptions): Promise<Item[]>;
}

// SPDX-License-Identifier: Apache-2.0
import type { Node } from '../node.ts';

/** What a client answered or notified: the bytes as they came, and what they mean. */
export interface Lwm2mResponse {
  readonly code: number;
  readonly contentFormat: number | undefined;
  readonly payload: Uint8Array;
  /** The values in the payload. Throws `Lwm2mError` when the code is no success or the bytes are not of the format. */
  nodes(): Node[];
}

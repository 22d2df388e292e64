// SPDX-License-Identifier: Apache-2.0
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';

/** One content format. `base` is the path that the operation names; every node lies at it or below. */
export interface Codec {
  encode(nodes: readonly Node[], base: Path, model: ObjectModel): Uint8Array;
  /** Throws only `Lwm2mError`. */
  decode(payload: Uint8Array, base: Path, model: ObjectModel): Node[];
}

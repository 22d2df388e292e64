// SPDX-License-Identifier: Apache-2.0
import type { Path } from './path.ts';
import type { Lwm2mValue, ResourceType } from './values.ts';

/** One leaf of the object tree: what every codec reads and writes. The path names a resource or a resource instance. */
export interface Node {
  path: Path;
  value: Lwm2mValue;
  /** Seconds since 1970 at which the value was measured; only SenML carries it. */
  time?: number;
  /** What to write the value as where no model knows the resource. */
  type?: ResourceType;
}

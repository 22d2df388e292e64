// SPDX-License-Identifier: Apache-2.0
import type { ExecuteArguments } from '../execute-arguments.ts';
import type { ResourceValue } from '../values.ts';

/** Where a value goes that comes piece by piece. One call at a time; what `write` and `end` throw is answered as an instance's `write` is, and ends it. */
export interface ValueSink {
  write(bytes: Uint8Array): Promise<void>;
  /** The value is whole. */
  end(): Promise<void>;
  /** It never will be: the server is gone, began anew, or sent nothing for minutes. Maybe during `write`. */
  abort(reason: Error): void;
}

/**
 * One object instance as the client serves it. Most are made with `objectInstance`; anything that has these members
 * will do. Types and allowed operations come from the object's definition: `write` gets values that already fit it.
 * Throw `Lwm2mError` with a `status` to choose the answer; any other error becomes 5.00.
 */
export interface ObjectInstance {
  readonly objectId: number;
  readonly instanceId: number;
  /** The resources that this instance has, executable ones included. */
  readonly resources: readonly number[];
  /** `undefined`: the resource has no value now. */
  read(resourceId: number): ResourceValue | undefined | Promise<ResourceValue | undefined>;
  write?(resourceId: number, value: ResourceValue): void | Promise<void>;
  /**
   * Takes the value of an opaque resource as it comes in blocks (RFC 7959), where that is too large to be held; `size` in bytes where the server
   * tells it. A value in one message goes to `write`. Undefined: no resource that does so. Throws as `write` does.
   */
  stream?(resourceId: number, size: number | undefined): ValueSink | undefined;
  /** A Replace (LwM2M Core 1.1 §6.3.3) that leaves this writable resource out: back to its initial value. */
  reset?(resourceId: number): void | Promise<void>;
  execute?(resourceId: number, args: ExecuteArguments): void | Promise<void>;
  /** Asks to be told of changes; returns the way to stop. Writes through the client need no report. */
  onChange?(changed: (resourceId: number) => void): () => void;
  /** Present when the server may delete the instance; called after it left the tree. */
  delete?(): void | Promise<void>;
}

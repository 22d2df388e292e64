// SPDX-License-Identifier: Apache-2.0

/** One link of a CoRE link-format document (RFC 6690 §2). */
export interface Link {
  /** As written between `<` and `>`, for example `/3/0`. */
  target: string;
  /** Attributes in order; `null` where there is no value (`obs`). Quotes are removed. */
  attributes: ReadonlyMap<string, string | null>;
}

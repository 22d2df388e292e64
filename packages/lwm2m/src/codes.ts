// SPDX-License-Identifier: Apache-2.0

/** Methods and response codes as LwM2M uses them: class << 5 | detail (RFC 7252 §12.1, RFC 8132 §6). */
export const Code = {
  GET: 0x01,
  POST: 0x02,
  PUT: 0x03,
  DELETE: 0x04,
  FETCH: 0x05,
  IPATCH: 0x07,
  CREATED: 0x41,
  DELETED: 0x42,
  CHANGED: 0x44,
  CONTENT: 0x45,
  BAD_REQUEST: 0x80,
  UNAUTHORIZED: 0x81,
  FORBIDDEN: 0x83,
  NOT_FOUND: 0x84,
  METHOD_NOT_ALLOWED: 0x85,
  NOT_ACCEPTABLE: 0x86,
  CONFLICT: 0x89,
  PRECONDITION_FAILED: 0x8c,
  REQUEST_ENTITY_TOO_LARGE: 0x8d,
  UNSUPPORTED_CONTENT_FORMAT: 0x8f,
  INTERNAL_SERVER_ERROR: 0xa0,
} as const;

/** `69` is `2.05`. */
export function formatCode(code: number): string {
  return `${code >> 5}.${String(code & 31).padStart(2, '0')}`;
}

export function isSuccessCode(code: number): boolean {
  return code >> 5 === 2;
}

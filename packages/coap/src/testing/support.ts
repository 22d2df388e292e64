// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import net from 'node:net';
import { Code } from '../codes.ts';
import { CoapError, type CoapErrorCode } from '../errors.ts';
import { uriPathOptions } from '../message/option-values.ts';
import type { CoapOptions } from '../options.ts';
import type { CoapRequest, CoapResponse } from '../peer.ts';

/** Helpers of this package's own tests. */

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

export function hex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'));
}

export function get(path: string, options: CoapOptions = []): CoapRequest {
  return { code: Code.GET, options: [...uriPathOptions(path), ...options], payload: utf8('') };
}

export function put(path: string, payload: Uint8Array, options: CoapOptions = []): CoapRequest {
  return { code: Code.PUT, options: [...uriPathOptions(path), ...options], payload };
}

export function content(payload: Uint8Array | string, options: CoapOptions = []): CoapResponse {
  return { code: Code.CONTENT, options, payload: typeof payload === 'string' ? utf8(payload) : payload };
}

/** Bytes that differ everywhere, so that a block in a wrong place is seen. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff);
}

/** For `assert.rejects` and `assert.throws`. */
export function coapError(code: CoapErrorCode): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof CoapError && error.code === code) return true;
    throw new Error(`expected ${code}`, { cause: error });
  };
}

/** Resolves with what the promise gives, or fails the test when it takes too long. */
export async function within<T>(promise: Promise<T>, milliseconds = 5000, what = 'the test'): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took over ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export async function untilAborted(signal: AbortSignal, milliseconds = 5000): Promise<unknown> {
  if (!signal.aborted) await within(once(signal, 'abort'), milliseconds, 'the abort');
  return signal.reason;
}

export async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await within(once(server, 'listening'));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return address.port;
}

/** Calls `check` until it gives something else than undefined or false. */
export async function eventually<T>(check: () => T | undefined | false, milliseconds = 5000): Promise<T> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = check();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`nothing happened in ${milliseconds} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Closes a server when the test ends, however it ends. */
export function closing(server: net.Server): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: () => within(new Promise<void>((resolve) => server.close(() => resolve()))),
  };
}

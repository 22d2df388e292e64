// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { MblError } from '@mbl/trust';

export interface FetchOptions {
  /** The device's own service: its URL, the name in its certificate at whatever address it is, and PEM of whom to trust there. */
  readonly service: { readonly url: string; readonly serverName: string; readonly trust: string };
  /** Without a byte for so long, a transfer has failed. */
  readonly stallMs?: number;
}

interface Request extends FetchOptions {
  /** More bytes than that are not read. */
  readonly most: number;
  readonly signal: AbortSignal;
}

export const usualStallMs = 60_000;

/**
 * Gets a URL and hands its body over, piece by piece, each when the one before is dealt with. False where there is no such file (404,
 * 410). Throws `device/fetch-failed`.
 */
export async function fetchBytes(
  url: URL,
  { service, stallMs = usualStallMs, most, signal }: Request,
  take: (piece: Uint8Array) => void | Promise<void>,
): Promise<boolean> {
  const stalled = new AbortController();
  const watchdog = setTimeout(
    () => stalled.abort(new Error(`nothing came for ${stallMs / 1000} s`)),
    stallMs,
  );
  const ended = AbortSignal.any([signal, stalled.signal]);
  try {
    const response = await answer(url, service, ended);
    const { statusCode = 0 } = response;
    if (statusCode === 404 || statusCode === 410) {
      response.destroy();
      return false;
    }
    if (statusCode !== 200) {
      response.destroy();
      throw new Error(`the server answered ${statusCode}`);
    }
    let size = 0;
    for await (const piece of response as AsyncIterable<Buffer>) {
      watchdog.refresh();
      size += piece.length;
      if (size > most) throw new Error(`it has more than ${most} bytes`);
      await take(piece);
    }
    if (!response.complete) throw new Error('the connection broke');
    return true;
  } catch (cause) {
    const why = ended.aborted ? (ended.reason as unknown) : cause;
    throw new MblError(
      'device/fetch-failed',
      `${url.href}: ${why instanceof Error ? why.message : String(why)}`,
      {
        cause,
      },
    );
  } finally {
    clearTimeout(watchdog);
  }
}

/** Whom to trust at a URL: the device's own service has its own authority, and its own name at whatever address. */
export function trustFor(
  url: URL,
  service: FetchOptions['service'],
): { readonly ca?: string; readonly servername?: string } {
  const own = url.host === new URL(service.url).host;
  return own ? { ca: service.trust, servername: service.serverName } : {};
}

async function answer(
  url: URL,
  service: FetchOptions['service'],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  // Needed now and then: HTTP stays out of the way of a boot.
  const [http, https] = await Promise.all([import('node:http'), import('node:https')]);
  const tls = trustFor(url, service);
  return await new Promise((resolve, reject) => {
    const request =
      url.protocol === 'https:'
        ? https.get(url, { ...tls, signal, agent: false }, resolve)
        : http.get(url, { signal, agent: false }, resolve);
    request.once('error', reject);
  });
}

// SPDX-License-Identifier: Apache-2.0

/** Why an attempt came to nothing. */
export interface Failure {
  /**
   * `offline`: this device has no way to the network; nothing left it, so trying again soon costs nobody anything.
   * `refused`: the service knows the device and said no. `failed`: anything else.
   */
  readonly kind: 'offline' | 'refused' | 'failed';
  readonly reason: string;
  /** How long the service asked to stay away, in milliseconds (RFC 9110 §10.2.3, RFC 8323 §5.5): an hour at most. */
  readonly holdOffMs?: number;
}

const longestHoldOffMs = 3_600_000;

/** Not EAI_AGAIN: a name server that fails says it too, and a whole fleet may be asking it. */
const offlineCodes: readonly unknown[] = ['ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL'];

/** Decides by the codes of an error and its causes. `now`: milliseconds since 1970, as the device believes. */
export function classifyFailure(error: unknown, now: number = Date.now()): Failure {
  const chain = causes(error);
  const holdOffMs = chain.map((one) => holdOff(one, now)).find((asked) => asked !== undefined);
  return { ...classify(error, chain), ...(holdOffMs === undefined ? {} : { holdOffMs }) };
}

function classify(error: unknown, chain: readonly Error[]): Failure {
  // The innermost error says what happened; the outer ones say what it was good for.
  const reason = chain.findLast(({ message }) => message !== '')?.message ?? String(error);
  const codes = chain.map((one) => (one as { code?: unknown }).code);
  if (isOffline(error)) return { kind: 'offline', reason };
  if (codes.includes('device/enrolment-refused')) return { kind: 'refused', reason };
  // The service's TLS alert (RFC 8446 §6.2) about our certificate; with TLS 1.3 it comes after the handshake.
  const alert = codes.find((code) => typeof code === 'string' && /^ERR_SSL_.*ALERT/.test(code));
  if (typeof alert === 'string') return { kind: 'refused', reason: alertName(alert) };
  const status = chain
    .map((one) => (one as { status?: unknown }).status)
    .find((code) => typeof code === 'number');
  if (typeof status === 'number' && isRefusal(status)) return { kind: 'refused', reason };
  return { kind: 'failed', reason };
}

/**
 * Whether the service closed the connection for the certificate's sake, in a way that its owner can mend: it ended while the device was
 * off, a newer one took its place, or the service has lost it (ARCHITECTURE.md, "The service": stable reasons). A revoked one is final.
 */
export function isCertificateRefused(error: unknown): boolean {
  return causes(error).some(
    (one) =>
      (one as { code?: unknown }).code === 'coap/peer-aborted' &&
      /: (expired|superseded|unknown)-certificate:/.test(one.message),
  );
}

/**
 * Whether nothing left the device. Of several addresses every one must have been out of reach: with a name that has IPv6 and IPv4
 * addresses, one error may say that there is no IPv6, the other that the service is down. (Node gives the whole the first one's code.)
 */
function isOffline(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 8) return false;
  if (error instanceof AggregateError)
    return error.errors.length > 0 && error.errors.every((one) => isOffline(one, depth + 1));
  return offlineCodes.includes((error as { code?: unknown }).code) || isOffline(error.cause, depth + 1);
}

/** What an error carries of the service's wish. A date is read by the device's clock, which may be wrong: hence the bound. */
function holdOff(error: Error, now: number): number | undefined {
  const { holdOffSeconds, retryAfter } =
    (error as { details?: { holdOffSeconds?: unknown; retryAfter?: unknown } }).details ?? {};
  const asked =
    typeof holdOffSeconds === 'number'
      ? holdOffSeconds * 1000
      : typeof retryAfter !== 'string'
        ? Number.NaN
        : /^\d{1,9}$/.test(retryAfter)
          ? Number(retryAfter) * 1000
          : Date.parse(retryAfter) - now;
  return asked > 0 ? Math.min(asked, longestHoldOffMs) : undefined;
}

/** 4.01, 4.03 and other client errors of a Register (LwM2M Core 1.1 §6.2.1). Code: class << 5 | detail (RFC 7252 §3). */
function isRefusal(status: number): boolean {
  return status >> 5 === 4;
}

function alertName(code: string): string {
  return `alert ${code
    .replace(/^ERR_SSL_/, '')
    .replace(/(SSLV3|TLSV1|TLSV13)?_?ALERT_/, '')
    .toLowerCase()
    .replaceAll('_', ' ')}`;
}

function causes(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let at = error; at instanceof Error && chain.length < 8; at = at.cause) chain.push(at);
  // `connect` to several addresses fails with all of their errors.
  return chain.flatMap((one) =>
    one instanceof AggregateError ? [one, ...(one.errors as Error[]).slice(0, 8)] : [one],
  );
}

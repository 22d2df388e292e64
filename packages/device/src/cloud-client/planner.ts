// SPDX-License-Identifier: Apache-2.0
import type { Identity, StoredIdentity } from './identity.ts';
import type { KeyObject } from 'node:crypto';

/** What the device does next to be online. */
export type Step =
  | { readonly do: 'create-key' }
  | { readonly do: 'enrol'; readonly key: KeyObject }
  | { readonly do: 'renew'; readonly identity: Identity }
  | { readonly do: 'connect'; readonly identity: Identity };

const dayMs = 24 * 60 * 60 * 1000;
const renewalRetryMs = 60 * 60 * 1000;

/** What happened before, where it matters for what comes next. */
export interface History {
  /** The last renewal that failed, in milliseconds: a certificate that cannot be renewed now is still good for connecting. */
  readonly renewalTriedAt?: number | undefined;
  /** The service said of the certificate, a moment ago, that it counts no more: the code may give another for the same key. */
  readonly certificateRefused?: boolean;
}

/** The next step, from what is stored and what happened. */
export function planStep(stored: StoredIdentity, now: number, history: History = {}): Step {
  const { key, identity } = stored;
  const { renewalTriedAt, certificateRefused = false } = history;
  if (key === undefined) return { do: 'create-key' };
  if (identity === undefined || certificateRefused) return { do: 'enrol', key };
  const waiting = renewalTriedAt !== undefined && Math.abs(now - renewalTriedAt) < renewalRetryMs;
  if (!waiting && now >= renewalTime(identity)) return { do: 'renew', identity };
  return { do: 'connect', identity };
}

/**
 * When to renew, in milliseconds: a third of its life before the certificate ends, at most 30 days. Without a clock (1970) it is
 * far away: only the service can tell then, and it checks by its own clock.
 */
export function renewalTime(identity: Pick<Identity, 'certificate' | 'enrolledAt'>): number {
  const end = identity.certificate.validToDate.getTime();
  const life = Math.max(0, end - identity.enrolledAt.getTime());
  return end - Math.min(30 * dayMs, life / 3);
}

// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey } from 'node:crypto';
import pg from 'pg';
import { certificateIn, est, type EstAnswer, requestBody, type TestIdentity } from './device.ts';
import type { TestService } from './service.ts';

/** Puts a device's certificates on record as a month from their end, and so renewable. */
export async function age(service: TestService, deviceId: string): Promise<void> {
  const client = new pg.Client(service.options.databaseUrl);
  await client.connect();
  await client.query(
    `update device_certificates set issued_at = now() - interval '9 years', not_after = now() + interval '30 days'
     where device_id = $1`,
    [deviceId],
  );
  await client.end();
}

/** Asks for a later certificate, as a device does: with its certificate, for its own key or another. */
export async function askRenewal(
  service: TestService,
  { name, key, cert }: TestIdentity,
  other = createPrivateKey(key),
): Promise<EstAnswer> {
  return await est(service, 'simplereenroll', { method: 'POST', body: requestBody(other, name), key, cert });
}

/** The same device with a later certificate. */
export async function renewIdentity(service: TestService, identity: TestIdentity): Promise<TestIdentity> {
  await age(service, identity.deviceId);
  return { ...identity, cert: certificateIn(await askRenewal(service, identity)) };
}

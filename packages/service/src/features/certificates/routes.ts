// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { fetchPage, listQuery, pageOf } from '../../infra/http/lists.ts';
import { type FilterFields, parseFilters, text } from '../../infra/http/filters.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceDirectory, Disconnect } from '../devices/directory.ts';
import type { CertificateRegister } from './register.ts';
import type { CertificateRow } from './table.ts';

const filters: FilterFields = { fingerprint: text, status: text };

const certificate = z
  .object({
    object: z.literal('device-certificate'),
    id: z.string(),
    device_id: z.string(),
    fingerprint: z.string(),
    status: z.enum(['issued', 'active', 'superseded', 'revoked']),
    not_after: z.string(),
    issued_at: z.string(),
    revoked_at: z.string().nullable(),
    revocation_reason: z.string().nullable(),
    certificate: z.string().describe('PEM'),
  })
  .meta({ id: 'DeviceCertificate' });

const params = z.object({ id: z.string() });
const config = { refusals: { not_found: 'There is no such device' } };
const tags = ['device certificates'];

export function certificateRoutes(
  app: App,
  { db }: Context,
  directory: DeviceDirectory,
  register: CertificateRegister,
  disconnect: Disconnect,
): void {
  app.get(
    '/v3/devices/:id/certificates',
    {
      config,
      schema: {
        tags,
        summary: 'List the certificates that a device was given',
        params,
        querystring: listQuery(filters),
        response: { 200: pageOf(certificate) },
      },
    },
    async (request) => {
      const device = await directory.get(request.params.id);
      let selected = db.selectFrom('device_certificates').selectAll().where('device_id', '=', device.id);
      for (const condition of parseFilters(request.query, filters)) selected = selected.where(condition);
      return fetchPage(selected, request.query, toCertificate);
    },
  );

  app.post(
    '/v3/devices/:id/certificates/revoke',
    {
      config,
      schema: {
        tags,
        summary: 'Revoke the certificates of a device and end its connection',
        params,
        body: z.strictObject({ reason: z.string().min(1).max(500) }),
        response: {
          200: z.object({
            object: z.literal('revocation'),
            device_id: z.string(),
            revoked: z.number().int(),
          }),
        },
      },
    },
    async (request) => {
      const device = await directory.get(request.params.id);
      const revoked = await register.revoke(device, request.body.reason);
      disconnect(device, 'the certificate was revoked');
      return { object: 'revocation' as const, device_id: device.id, revoked };
    },
  );
}

function toCertificate(row: CertificateRow): z.infer<typeof certificate> {
  return {
    object: 'device-certificate',
    id: row.id,
    device_id: row.device_id,
    fingerprint: row.fingerprint,
    status: row.status,
    not_after: row.not_after.toISOString(),
    issued_at: row.issued_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
    revocation_reason: row.revocation_reason,
    certificate: row.pem,
  };
}

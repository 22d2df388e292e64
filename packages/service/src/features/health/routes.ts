// SPDX-License-Identifier: Apache-2.0
import { sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import type { App } from '../../infra/http/server.ts';

/** For a supervisor or a load balancer: answers while the database does, without an API key. */
export function healthRoutes(app: App, { db }: Context): void {
  app.get(
    '/v3/health',
    {
      schema: {
        tags: ['health'],
        summary: 'Whether the service and its database answer',
        security: [],
        response: { 200: z.object({ object: z.literal('health'), status: z.literal('ok') }) },
      },
    },
    async () => {
      await sql`select 1`.execute(db);
      return { object: 'health' as const, status: 'ok' as const };
    },
  );
}

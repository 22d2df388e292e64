// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Context } from '../../context.ts';
import { isPassing } from '../../infra/database.ts';
import type { App } from '../../infra/http/server.ts';

/** How long the database may take to answer before it counts as away, in milliseconds. */
const patienceMs = 2000;

const well = z.object({ object: z.literal('health'), status: z.literal('ok') });
const away = z
  .object({
    object: z.literal('health'),
    status: z.literal('database-away'),
    away_since: z.string().describe('When that was noticed'),
  })
  .describe(
    'The database does not answer. Connected devices stay, and what they do is written down when it is back',
  );

/** For a supervisor, a load balancer or `mbl doctor`: whether the service has its database, without an API key. */
export function healthRoutes(app: App, { db, now, awaySince }: Context): void {
  app.get(
    '/v3/health',
    {
      schema: {
        tags: ['health'],
        summary: 'Whether the service and its database answer',
        security: [],
        response: { 200: well, 503: away },
      },
    },
    async (_request, reply) => {
      const since = awaySince?.() ?? ((await answers(db)) ? undefined : (awaySince?.() ?? now()));
      if (since === undefined) return { object: 'health' as const, status: 'ok' as const };
      return reply.code(503).send({
        object: 'health' as const,
        status: 'database-away' as const,
        away_since: new Date(since).toISOString(),
      });
    },
  );
}

async function answers(db: Context['db']): Promise<boolean> {
  const asked = sql`select 1`.execute(db).then(
    () => true,
    (error: unknown) => {
      if (!isPassing(error)) throw error;
      return false;
    },
  );
  return await Promise.race([asked, delay(patienceMs, false, { ref: false })]);
}

// SPDX-License-Identifier: Apache-2.0
import { type AppAsk, appActions, isAppName, isTeam, mostLogLines, osTeam } from '@mbl/formats';
import { z } from 'zod';
import { HttpError, invalid } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import type { DeviceDirectory } from '../devices/directory.ts';
import type { Reach } from '../connections/session.ts';
import { clientGone, toHttpError } from '../requests/failure.ts';
import type { AppAsks } from './asks.ts';
import { hasApps } from './carrier.ts';

/** How long a device may take beside the time that the program has, in milliseconds. A stop waits for the grace of the app. */
const usualMs = 120_000;
const beyondRunMs = 30_000;
const usualRunSeconds = 30;

const printable = /^\P{Cc}+$/u;
const askBody = z
  .strictObject({
    command: z
      .array(z.string().min(1).max(1024).regex(printable, 'Without control characters'))
      .min(1)
      .max(64)
      .optional()
      .describe('`run`: program and arguments'),
    timeout: z.number().int().min(1).max(300).optional().describe('`run`: seconds until it is killed'),
    cursor: z
      .string()
      .max(256)
      .regex(printable, 'Without control characters')
      .optional()
      .describe('`log`: what comes after it'),
    lines: z.number().int().min(1).max(mostLogLines).optional().describe('`log`: at most so many'),
  })
  .nullish();

const answer = z
  .object({
    object: z.literal('app-answer'),
    device_id: z.string(),
    name: z.string(),
    action: z.enum(appActions),
    exit: z.number().int().optional().describe('`run`: how the program ended'),
    output: z.string().optional().describe('`run`: what it wrote on both streams, the first 8 KiB'),
    cursor: z.string().optional().describe('`log`: for what comes after'),
    log: z
      .array(z.object({ time: z.string(), text: z.string() }))
      .optional()
      .describe('`log`'),
  })
  .meta({ id: 'AppAnswer' });

export type AppAnswerView = z.infer<typeof answer>;

export interface AppAskRouteParts {
  readonly directory: DeviceDirectory;
  readonly asks: AppAsks;
  readonly reach: Reach;
}

/** Has apps of a device do something once, and answers when the device has. */
export function appAskRoutes(app: App, { directory, asks, reach }: AppAskRouteParts): void {
  app.post(
    '/v3/devices/:id/apps/:app/:action',
    {
      config: {
        refusals: {
          not_found: 'There is no such device',
          conflict: 'The device did not do it, and says why; or it is suspended, or takes no apps',
          access_denied: 'The device refuses it',
          method_not_allowed: 'The device does not take such an order',
          too_many_requests: 'Too many wait for the device',
          bad_gateway: 'The device failed, or its answer could not be read',
          not_connected: 'The device is not connected, or went away before it answered',
          timeout: 'The device did not say in time how it went',
        },
      },
      schema: {
        tags: ['apps of devices'],
        summary:
          'Start, stop or restart an app, read its log, run a program in it; or have a team’s release before this one run',
        params: z.object({
          id: z.string(),
          app: z.string().describe('An app; with `rollback` a team'),
          action: z.enum(appActions),
        }),
        body: askBody,
        response: { 200: answer },
      },
    },
    async ({ params: { id, app: name, action }, body }, { raw }) => {
      const ask = askOf(action, name, body ?? {});
      const device = await directory.get(id);
      if (device.lifecycle_status === 'blocked') throw new HttpError('conflict', 'The device is suspended');
      const there = reach(id);
      if (there !== undefined && !hasApps(there))
        throw new HttpError('conflict', 'The device takes no apps: it has no object 33402');
      const gone = new AbortController();
      const closed = () => gone.abort(clientGone());
      raw.once('close', closed);
      if (raw.destroyed) closed();
      const runMs = (ask.timeout ?? usualRunSeconds) * 1000 + beyondRunMs;
      const limitMs = action === 'run' ? runMs : usualMs;
      try {
        const { error, log, id: _id, ...rest } = await asks.ask(id, ask, { limitMs, signal: gone.signal });
        if (error !== '') throw new HttpError('conflict', error.toWellFormed());
        return {
          object: 'app-answer' as const,
          ...{ device_id: id, name, action },
          ...rest,
          ...(log === undefined ? {} : { log: log.map(toLine) }),
        };
      } catch (error) {
        throw toHttpError(error);
      } finally {
        raw.off('close', closed);
      }
    },
  );
}

function askOf(
  action: AppAsk['action'],
  name: string,
  { command, timeout, cursor, lines }: NonNullable<z.infer<typeof askBody>>,
): Omit<AppAsk, 'id'> {
  const fits = action === 'rollback' ? isTeam(name) && name !== osTeam : isAppName(name);
  const fields: { name: string; message: string }[] = [];
  if (!fits) fields.push({ name: 'app', message: 'Not a name' });
  const only = (wanted: AppAsk['action'], given: Readonly<Record<string, unknown>>) => {
    for (const [field, value] of Object.entries(given))
      if (value !== undefined && action !== wanted)
        fields.push({ name: field, message: `Goes with ${wanted} alone` });
  };
  only('run', { command, timeout });
  only('log', { cursor, lines });
  if (action === 'run' && command === undefined) fields.push({ name: 'command', message: 'Missing' });
  if ((command ?? []).join('').length > mostCommand) fields.push({ name: 'command', message: 'Too long' });
  if (fields.length > 0) throw invalid(fields);
  return {
    action,
    name,
    ...(command === undefined ? {} : { command }),
    ...(action === 'run' ? { timeout: timeout ?? usualRunSeconds } : {}),
    ...(cursor === undefined ? {} : { cursor }),
    ...(lines === undefined ? {} : { lines }),
  };
}

/** What is around it has its place in a document of 4096 characters, and a quote takes two. */
const mostCommand = 1900;

function toLine({ time, text }: { readonly time: number; readonly text: string }) {
  const at = new Date(time);
  return { time: Number.isNaN(at.getTime()) ? '' : at.toISOString(), text: text.toWellFormed() };
}

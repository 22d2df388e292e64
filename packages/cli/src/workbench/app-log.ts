// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppAnswerView, Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { plainText } from '../plain.ts';
import { askOnce } from './ask-app.ts';

export interface LogOptions {
  readonly client: ServiceClient;
  readonly device: Device;
  readonly app: string;
  /** How many of the last lines. */
  readonly lines: number;
  readonly follow: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const pauseMs = 1000;
/** Of one page. */
const mostLines = 200;

/**
 * Prints the end of an app's log, and with `follow` what comes after it, until `signal`: through restarts of the device, of the service and of the app. Throws what `askOnce` throws,
 * before the first lines.
 */
export async function followLog(
  cli: Cli,
  { client, device, app, lines, follow, signal }: LogOptions,
): Promise<void> {
  const ask = (fields: { lines: number; cursor?: string }): Promise<AppAnswerView> =>
    askOnce(client, device, { action: 'log', name: app, ...fields }, signal);
  let answer: AppAnswerView | undefined = await ask({ lines });
  if (!follow && cli.output.json) return cli.output.value(answer);
  let { cursor } = answer;
  for (;;) {
    for (const line of answer?.log ?? []) print(cli, app, line);
    cursor = answer?.cursor ?? cursor;
    if (!follow) return;
    // A full page has more behind it.
    if ((answer?.log?.length ?? 0) < mostLines)
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    answer = await ask({ lines: mostLines, ...(cursor === undefined ? {} : { cursor }) }).catch(
      (error: unknown) => {
        // It restarts, or its device or the service does.
        if (signal.aborted || error instanceof MblError) return undefined;
        throw error;
      },
    );
  }
}

function print(
  { output }: Cli,
  app: string,
  { time, text }: { readonly time: string; readonly text: string },
): void {
  output.event({ time, app, text });
  output.line(`${output.style('dim', time)}  ${plainText(text)}`);
}

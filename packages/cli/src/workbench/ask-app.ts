// SPDX-License-Identifier: Apache-2.0
import type { AppAction, AppAnswerView, Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { chooseDevice } from './deploy-apps.ts';

export interface Ask {
  readonly action: AppAction;
  /** An app; with `rollback` a team. */
  readonly name: string;
  /** By its id or its name; undefined: the only one. */
  readonly device: string | undefined;
  readonly command?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

/** Conflict, which is the device's own word; it failed; not connected; no answer in time. */
const refused: readonly unknown[] = [409, 502, 503, 504];

/** Has an app do something once, and gives what came of it. Throws `cli/app-refused` with the reason, and what `chooseDevice` throws. */
export async function askApp(
  cli: Cli,
  { action, name, device: idOrName, ...fields }: Ask,
): Promise<{ client: ServiceClient; device: Device; answer: AppAnswerView }> {
  const { output, signal } = cli;
  const { client, device } = await chooseDevice(cli, idOrName);
  const answer = await output.progress.wait(
    `${action} ${name} on ${device.endpoint_name}`,
    async () => await askOnce(client, device, { action, name, ...fields }, signal),
  );
  return { client, device, answer };
}

export async function askOnce(
  client: ServiceClient,
  { id, endpoint_name: on }: Device,
  { action, name, ...fields }: Omit<Ask, 'device'> & { readonly cursor?: string; readonly lines?: number },
  signal: AbortSignal,
): Promise<AppAnswerView> {
  return await client.apps.ask(id, name, action, fields, { signal }).catch((error: unknown) => {
    if (!(error instanceof MblError) || !refused.includes(error.details?.['status'])) throw error;
    throw new MblError('cli/app-refused', `${on}, ${action} ${name}: ${error.message}`, {
      remedy: `How it stands: ./mbl app list ${on}`,
      cause: error,
      details: { reason: error.code },
    });
  });
}

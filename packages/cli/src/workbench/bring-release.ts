// SPDX-License-Identifier: Apache-2.0
import type { Device, ReleaseOrder, ReleaseWanted, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Report } from '../progress.ts';
import { formatSize } from '../table.ts';
import { follow } from './follow.ts';

export interface BringOptions {
  readonly client: ServiceClient;
  readonly device: Device;
  /** Its name, or `<URL of the repository>#<name>`. */
  readonly release: string;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/**
 * Orders the device to go to a release and follows that until it has proved good. Throws `cli/update-replaced`, `cli/update-endless`,
 * `cli/update-failed`, and what the service refuses.
 */
export async function bringRelease({
  client,
  device,
  release,
  signal,
  report,
}: BringOptions): Promise<{ readonly release: string; readonly order: ReleaseOrder }> {
  const name = device.endpoint_name;
  const { order } = await orderRelease(client, device, release, signal);
  const [ended] = await followOrders({
    look: async () => [await client.releases.getOrder(order.id, { signal })],
    who: name,
    signal,
    report,
  });
  assertDone(name, ended ?? order);
  return { release: order.release, order: ended ?? order };
}

/** Gives the order that runs for the device from now on. */
export async function orderRelease(
  client: ServiceClient,
  device: Device,
  release: string,
  signal: AbortSignal,
): Promise<{ readonly order: ReleaseOrder }> {
  const wanted = wantedRelease(release);
  const { order } = await client.releases.order(device.id, wanted, { signal }).catch(sayWhatThereIs(wanted));
  if (order !== null) return { order };
  throw new MblError('cli/update-failed', `The service gave ${device.endpoint_name} no order.`, {
    remedy: 'Its log may say why: ./mbl logs service',
  });
}

/** Says of a release that the service does not have how it gets there. Throws `cli/no-such-release`, or what it was given. */
export function sayWhatThereIs({ release }: ReleaseWanted, team?: string): (error: unknown) => never {
  return (error) => {
    const fields = error instanceof MblError ? error.details?.['fields'] : undefined;
    const unknown =
      Array.isArray(fields) &&
      fields.some((field: { name?: unknown; message?: unknown }) =>
        String(field.message).startsWith('The service has no release'),
      );
    if (!unknown) throw error;
    const named = team === undefined ? release : `${release} of ${team}`;
    throw new MblError('cli/no-such-release', `The service has no release ${named}.`, {
      remedy: 'See which there are: ./mbl release show. Sign and publish it: ./mbl release sign',
      cause: error,
    });
  };
}

/** `1.1`, or `https://mirror.example/releases/#1.1`. */
export function wantedRelease(text: string): ReleaseWanted {
  const hash = text.lastIndexOf('#');
  if (hash <= 0) return { release: text.slice(hash + 1) };
  return { release: text.slice(hash + 1), repository: text.slice(0, hash) };
}

export interface FollowOptions {
  /** The orders as they stand now. */
  readonly look: () => Promise<readonly ReleaseOrder[]>;
  /** Whose they are, for messages. */
  readonly who: string;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** Follows orders until all have ended. Throws `cli/update-endless` when they run longer than any update takes. */
export async function followOrders({
  look,
  who,
  signal,
  report,
}: FollowOptions): Promise<readonly ReleaseOrder[]> {
  return await follow({
    look,
    tell: (orders) => tell(orders, report),
    ended: (orders) => orders.every(({ ended_at }) => ended_at !== null),
    who,
    show: `./mbl device show ${who}`,
    signal,
  });
}

function tell(orders: readonly ReleaseOrder[], report: Report): void {
  const [only] = orders;
  if (orders.length === 1 && only !== undefined) {
    const { bytes_fetched: fetched, bytes_to_fetch: all } = only;
    report(fetched === null || all === null || all === 0 ? undefined : fetched / all, describeOrder(only));
    return;
  }
  const ended = orders.filter(({ ended_at }) => ended_at !== null).length;
  report(orders.length === 0 ? undefined : ended / orders.length, countStates(orders));
}

/** "2 done, 1 downloading". */
export function countStates(orders: readonly ReleaseOrder[]): string {
  const counts = new Map<string, number>();
  for (const { state } of orders) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
}

/** What an order does, in one sentence, with the bytes where some are known. */
export function describeOrder({
  sentence,
  bytes_fetched: fetched,
  bytes_to_fetch: all,
}: ReleaseOrder): string {
  return fetched === null || all === null
    ? sentence
    : `${sentence} (${formatSize(fetched)} of ${formatSize(all)})`;
}

/** Throws `cli/update-replaced` or `cli/update-failed` for an order that did not lead to its release. */
export function assertDone(name: string, { state, reason, sentence, release }: ReleaseOrder): void {
  if (state === 'done') return;
  if (state === 'replaced')
    throw new MblError('cli/update-replaced', `${name} is not sent to ${release} any more: ${sentence}`, {
      remedy: `See what it is sent to: ./mbl device show ${name}`,
    });
  throw new MblError('cli/update-failed', `${name} does not run ${release}: ${sentence} [${reason}]`, {
    remedy: `What it runs, and what it says: ./mbl device show ${name}`,
    details: { state, reason },
  });
}

// SPDX-License-Identifier: Apache-2.0
//
// mbl-update: root at the board brings a release. What decides is what always decides: docs/decisions/0026.
import { parseArgs } from 'node:util';
import { MblError } from '@mbl/trust';
import { connectPlatform } from '../cloud-client/platform-client.ts';
import { orderSocket } from '../common/order.ts';
import { defaultSystem } from '../platform/options.ts';
import type { UpdateState } from '../platform/update.ts';
import { giveOrder, type GiveOptions } from './give-order.ts';
import { LastOrder, readMedium } from './medium.ts';

const usage = `Use: mbl-update RELEASE [FOLDER | URL]   bring a release: out of a repository there, or from the device's service
     mbl-update --status                   how the last update stands`;

/** Long enough for a board that has just been switched on. */
const patience = 600_000;

/** Undefined for what nobody can mean. */
function readArguments(args: readonly string[]) {
  const parse = () =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        status: { type: 'boolean', default: false },
        // The folder where a medium is mounted: it names the release itself.
        medium: { type: 'string' },
        // The folder where the order that a medium gave last is kept.
        kept: { type: 'string', default: '/var/lib/mbl-medium' },
        bus: { type: 'string', default: 'unix:path=/run/dbus/system_bus_socket' },
        socket: { type: 'string', default: orderSocket },
        registered: { type: 'string', default: '/run/mbl-cloud-client/registered' },
        'order-file': { type: 'string', default: defaultSystem.orderFile },
      },
    });
  try {
    const { values, positionals } = parse();
    const meant = [positionals.length > 0, values.status, values.medium !== undefined];
    return meant.filter(Boolean).length === 1 && positionals.length <= 2
      ? { values, positionals }
      : undefined;
  } catch {
    return undefined;
  }
}

/** The exit code: 0 when the board starts the release, or has nothing to do. */
export async function updateByHand(
  args: readonly string[],
  { say, signal }: Pick<GiveOptions, 'say' | 'signal'>,
): Promise<number> {
  const given = readArguments(args);
  if (given === undefined) {
    say(usage);
    return 2;
  }
  const { values, positionals } = given;
  const { socket, registered, medium, kept } = values;
  const options = { socket, registered, orderFile: values['order-file'], patience, say, signal };
  const [release, source] = positionals;
  try {
    if (medium !== undefined) await followMedium(medium, new LastOrder(kept), values.bus, options);
    else if (release !== undefined) await giveOrder(release, source, options);
    else sayStatus(await lastUpdate(values.bus), say);
    return 0;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    if (error instanceof MblError && error.remedy !== undefined) say(error.remedy);
    return 1;
  }
}

async function followMedium(
  folder: string,
  last: LastOrder,
  bus: string,
  options: GiveOptions,
): Promise<void> {
  const order = await readMedium(folder);
  const { release } = order;
  if (await last.is(order)) {
    options.say(`the medium's order of ${release} was carried out before`);
    return;
  }
  options.say(`a medium orders ${release}`);
  const { state, release: present } = await lastUpdate(bus);
  // The order was carried out, and its end came before it was kept.
  if (present !== release || (state !== 'trying' && state !== 'waits'))
    await giveOrder(release, folder, { ...options, say: (line) => isProgress(line) || options.say(line) });
  await last.keep(order);
}

/** Nobody watches a journal: what it keeps in memory is for what happened. */
function isProgress(line: string): boolean {
  return /: \d+%$/.test(line);
}

async function lastUpdate(bus: string): Promise<UpdateState> {
  await using platform = connectPlatform(bus);
  return await platform.getUpdate();
}

function sayStatus({ state, release, reason, detail }: UpdateState, say: (line: string) => void): void {
  say(`state=${state}`);
  say(`release=${release}`);
  say(`reason=${reason}`);
  say(`detail=${detail}`);
}

if (import.meta.main) {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  process.exitCode = await updateByHand(process.argv.slice(2), {
    say: (line) => void process.stdout.write(`${line}\n`),
    signal: stop.signal,
  });
}

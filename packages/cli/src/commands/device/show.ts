// SPDX-License-Identifier: Apache-2.0
import type {
  CallOptions,
  Device,
  DeviceRelease,
  ReleaseOrder,
  ResourceValue,
  ServiceClient,
} from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Output } from '../../output.ts';
import { formatAge } from '../../table.ts';
import { verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

/** All that the directory holds of a device, what it registered, and what it says of its system. */
export const showDevice = verb({
  name: 'show',
  description: 'all that is known of a device: what it runs, how its update stands, its record',
  arguments: { device: deviceArgument },
  async run(cli, given) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { describeOrder } = await import('../../workbench/bring-release.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
    // One that is on line may not have registered yet, or no more: it has nothing to list.
    const resources = device.online
      ? await client.listResources(device.id, { signal }).catch((error: unknown) => {
          if (error instanceof MblError && error.details?.['status'] === 404) return [];
          throw error;
        })
      : [];
    const update = await client.releases.ofDevice(device.id, { signal });
    const system = resources.length === 0 ? undefined : await readSystem(client, device, { signal });
    output.value({ ...device, resources, update, system: system ?? null });
    output.table(
      [],
      Object.entries(device)
        .filter(([name, value]) => name !== 'object' && !isEmpty(value))
        .map(([name, value]) => [
          output.style('dim', name),
          typeof value === 'object' ? JSON.stringify(value) : String(value),
        ]),
    );
    output.line();
    output.table(
      [],
      [...systemRows(device, system), ...updateRows(update, describeOrder)].map(([name, text]) => [
        output.style('dim', name),
        text,
      ]),
    );
    if (system !== undefined) components(output, system);
    if (resources.length === 0) return;
    output.line();
    output.line(`objects  ${resources.map(({ uri }) => uri).join(' ')}`);
  },
});

/** What a device says of the system that runs on it. */
interface System {
  readonly slot: string | null;
  /** Starts of the slot without a verdict: 0 when it has proved good. */
  readonly attempts: number | null;
  readonly components: readonly { readonly name: string; readonly version: string }[];
  /** How its update stands, by its own word. */
  readonly detail: string;
  readonly reason: string;
}

/** Undefined where it cannot be asked, as while it restarts. */
async function readSystem(
  client: ServiceClient,
  { id }: Device,
  options: CallOptions,
): Promise<System | undefined> {
  const read = async (path: string): Promise<ResourceValue[]> =>
    await client.read(id, path, options).catch((error: unknown) => {
      if (error instanceof MblError && error.code.startsWith('service/')) return [];
      throw error;
    });
  const [board, parts, update] = [await read('/33400/0'), await read('/14'), await read('/33401/0')];
  if (board.length + parts.length + update.length === 0) return undefined;
  const text = (values: readonly ResourceValue[], path: string): string | undefined => {
    const found = values.find((one) => one.path === path)?.value;
    return found === undefined ? undefined : String(found);
  };
  const attempts = text(board, '/33400/0/1');
  const instances = new Set(parts.map(({ path }) => path.split('/')[2]));
  return {
    slot: text(board, '/33400/0/0') ?? null,
    attempts: attempts === undefined ? null : Number(attempts),
    components: [...instances].map((instance) => ({
      name: text(parts, `/14/${instance}/0`) ?? `${instance}`,
      version: text(parts, `/14/${instance}/2`) ?? '',
    })),
    detail: text(update, '/33401/0/1') ?? '',
    reason: text(update, '/33401/0/2') ?? '',
  };
}

function systemRows({ release, build_id: build }: Device, system: System | undefined): [string, string][] {
  const rows: [string, string][] = [
    [
      'runs',
      build === null ? 'not known' : `${release ?? 'no release that the service has'} (build ${build})`,
    ],
  ];
  if (system?.slot !== null && system !== undefined) {
    const { attempts } = system;
    const proved = attempts === null || attempts === 0 ? 'proved good' : `on trial, start ${attempts}`;
    rows.push(['slot', `${system.slot}, ${proved}`]);
  }
  if (system !== undefined && system.detail !== '')
    rows.push(['says', `${system.detail}${system.reason === '' ? '' : ` [${system.reason}]`}`]);
  return rows;
}

function updateRows(
  { order, last_fallback: back }: DeviceRelease,
  describe: (order: ReleaseOrder) => string,
): [string, string][] {
  const at = (time: string) => formatAge(Date.now() - Date.parse(time));
  const rows: [string, string][] = [
    [
      'order',
      order === null
        ? 'none yet'
        : `${order.release}: ${order.state}, ${at(order.changed_at)}: ${describe(order)} [${order.reason}]`,
    ],
  ];
  if (back !== null && back.id !== order?.id)
    rows.push([
      'last fallback',
      `${back.release}, ${at(back.changed_at)}: ${back.sentence} [${back.reason}]`,
    ]);
  return rows;
}

function components(output: Output, { components: parts }: System): void {
  if (parts.length === 0) return;
  output.line();
  output.table(
    ['COMPONENT', 'VERSION'],
    parts.map(({ name, version }) => [name, version]),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

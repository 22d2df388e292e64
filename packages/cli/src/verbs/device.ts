// SPDX-License-Identifier: Apache-2.0
import type { Device, ResourceValue } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli, Outcome } from '../cli.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Output } from '../output.ts';
import { formatAge } from '../table.ts';
import { connectService } from '../workbench/service-client.ts';

export interface ListOptions {
  filter?: string;
  limit?: number;
}

/** Lists the directory. */
export async function listDevices(cli: Cli, options: ListOptions): Outcome {
  const { output, workspace, signal } = cli;
  const client = await connectService(workspace);
  const devices = await client.listDevices({
    signal,
    ...(options.filter === undefined ? {} : { filter: parseFilter(options.filter) }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
  });
  output.value(devices);
  if (devices.length === 0) {
    output.line(
      options.filter === undefined ? 'No devices yet. Start with: ./mbl up' : 'No device passes the filter.',
    );
    return;
  }
  output.table(
    ['DEVICE', 'NAME', 'STATE', 'KEYS', 'LAST SEEN', 'ADDRESS'],
    devices.map((device) => [
      device.id,
      device.endpoint_name,
      describeState(output, device),
      device.image_keys === 'development'
        ? output.style('yellow', 'development')
        : (device.image_keys ?? '-'),
      device.last_seen === null ? 'never' : formatAge(Date.now() - Date.parse(device.last_seen)),
      device.remote_address ?? '-',
    ]),
  );
}

function describeState(output: Output, { online, state, operator_suspended: suspended }: Device): string {
  if (suspended) return output.style('red', 'suspended');
  if (online) return output.style('green', 'online');
  return state === 'registered' || state === 'deregistered' ? output.style('yellow', 'offline') : state;
}

/** `a__eq=x&b__in=y,z`, as in a query of the REST API. */
function parseFilter(text: string): Record<string, string> {
  const filter = Object.fromEntries(new URLSearchParams(text));
  if (Object.keys(filter).length > 0 && Object.keys(filter).every((name) => /^\w+__[a-z]+$/.test(name)))
    return filter;
  throw new MblError('cli/bad-filter', `'${text}' is no filter.`, {
    remedy: "Write field__operator=value, as in: --filter 'online__eq=true&endpoint_name__like=board'",
  });
}

/** All that the directory holds of a device, and what the device registered. */
export async function showDevice(cli: Cli, idOrName: string): Outcome {
  const { output, workspace, signal } = cli;
  const client = await connectService(workspace);
  const device = await client.findDevice(idOrName, { signal });
  const resources = device.online ? await client.listResources(device.id, { signal }) : [];
  output.value({ ...device, resources });
  output.table(
    [],
    Object.entries(device)
      .filter(([name, value]) => name !== 'object' && !isEmpty(value))
      .map(([name, value]) => [
        output.style('dim', name),
        typeof value === 'object' ? JSON.stringify(value) : String(value),
      ]),
  );
  if (resources.length === 0) return;
  output.line();
  output.line(`objects  ${resources.map(({ uri }) => uri).join(' ')}`);
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Reads a resource, an instance or an object. */
export async function readResource(cli: Cli, idOrName: string, path: string): Outcome {
  const { output, workspace, signal } = cli;
  checkPath(path);
  const client = await connectService(workspace);
  const device = await client.findDevice(idOrName, { signal });
  const values = await output.progress.wait(
    `ask ${device.endpoint_name}`,
    async () => await client.read(device.id, path, { signal }),
  );
  output.value(values);
  // One value alone, so that a script can take it; more in a table.
  const [only] = values;
  if (values.length === 1 && only?.path === path) output.line(String(only.value));
  else
    output.table(
      ['PATH', 'NAME', 'VALUE'],
      values.map((value) => [value.path, value.name ?? '', formatValue(value)]),
    );
}

function formatValue({ value, units }: ResourceValue): string {
  return units === undefined ? String(value) : `${value} ${units}`;
}

/** Writes one resource. */
export async function writeResource(cli: Cli, idOrName: string, path: string, value: string): Outcome {
  const { output, workspace, signal } = cli;
  checkPath(path);
  const client = await connectService(workspace);
  const device = await client.findDevice(idOrName, { signal });
  await output.progress.wait(
    `write ${path} of ${device.endpoint_name}`,
    async () => await client.write(device.id, path, value, { signal }),
  );
  output.value({ device: device.id, path, value });
  output.line(`${device.endpoint_name} ${path} is now ${value}`);
}

/** Prints a resource now, and each time that it changes. */
export async function watchResource(cli: Cli, idOrName: string, path: string): Outcome {
  const { output, workspace, signal } = cli;
  checkPath(path);
  const client = await connectService(workspace);
  const device = await client.findDevice(idOrName, { signal });
  await using watch = await client.watch({ signal, resources: [{ deviceId: device.id, path }] });
  output.remark(`Watching ${path} of ${device.endpoint_name}; Ctrl-C ends it.`);
  const show = (changed: string, value: string, time: string) => {
    output.event({ time, device: device.id, path: changed, value });
    output.line(`${output.style('dim', time)}  ${changed}  ${value}`);
  };
  for (const { path: read, value } of await client.read(device.id, path, { signal })) {
    show(read, String(value), new Date().toISOString());
  }
  for await (const message of watch) {
    for (const { ep, path: changed, payload, timestamp } of message.notifications ?? []) {
      // Other watches of the same account are heard too.
      if (ep !== device.id || (changed !== path && !changed.startsWith(`${path}/`))) continue;
      show(changed, Buffer.from(payload, 'base64').toString('utf8'), new Date(timestamp).toISOString());
    }
  }
  return exitCodes.interrupted;
}

export interface EventOptions {
  follow?: boolean;
  device?: string;
  limit: number;
}

/** Prints the newest events, oldest of them first, and with `follow` those to come. */
export async function listEvents(cli: Cli, options: EventOptions): Outcome {
  const { output, workspace, signal } = cli;
  const client = await connectService(workspace);
  const device =
    options.device === undefined ? undefined : await client.findDevice(options.device, { signal });
  // Opened before the list is read, so that nothing falls between.
  await using watch = options.follow === true ? await client.watch({ signal }) : undefined;
  const events = await client.listEvents({
    signal,
    order: 'DESC',
    limit: options.limit,
    ...(device === undefined ? {} : { filter: { device_id__eq: device.id } }),
  });
  const shown = new Set<string>();
  const show = (event: (typeof events)[number]) => {
    if (shown.has(event.id)) return;
    shown.add(event.id);
    const style = { SUCCESS: 'green', FAIL: 'red' } as const;
    const category =
      event.event_type_category === 'SUCCESS' || event.event_type_category === 'FAIL'
        ? style[event.event_type_category]
        : 'dim';
    const who = event.endpoint_name ?? event.device_id ?? '-';
    output.line(
      `${output.style('dim', event.date_time)}  ${who}  ${output.style(category, event.event_type)}  ${event.description}`,
    );
  };
  events.reverse();
  if (watch === undefined) output.value(events);
  for (const event of events) {
    if (watch !== undefined) output.event(event);
    show(event);
  }
  if (watch === undefined) {
    if (events.length === 0) output.line('Nothing happened yet.');
    return 0;
  }
  for await (const message of watch) {
    for (const event of message['device-events'] ?? []) {
      if (device !== undefined && event.device_id !== device.id) continue;
      if (!shown.has(event.id)) output.event(event);
      show(event);
    }
  }
  return exitCodes.interrupted;
}

/** Makes a one-time code with which a device of this name may enrol. */
export async function enrolDevice(cli: Cli, endpointName: string): Outcome {
  const { output, workspace, signal } = cli;
  const client = await connectService(workspace);
  const enrolment = await client.createEnrolment(endpointName, { signal });
  output.value(enrolment);
  output.table(
    [],
    [
      ['endpoint name', enrolment.endpoint_name],
      ['device', enrolment.device_id],
      ['code', output.style('bold', enrolment.code)],
      ['ends', enrolment.expires_at ?? 'never'],
    ],
  );
  output.remark('The code is shown only now. It goes into factory.json of the device, and works once.');
}

/** Revokes the certificates of a device: its connection ends, and it is refused from now on. */
export async function revokeDevice(cli: Cli, idOrName: string): Outcome {
  const { output, workspace, signal } = cli;
  const client = await connectService(workspace);
  const device = await client.findDevice(idOrName, { signal });
  const revoked = await client.revokeCertificates(device.id, 'revoked by its owner', { signal });
  output.value({ device: device.id, revoked });
  output.line(`${revoked} certificate${revoked === 1 ? '' : 's'} of ${device.endpoint_name} revoked`);
}

function checkPath(path: string): void {
  if (/^(\/\d{1,5}){1,4}$/.test(path)) return;
  throw new MblError('cli/bad-path', `'${path}' is no LwM2M path.`, {
    remedy: 'Write /object/instance/resource in numbers, as in /3/0/3',
  });
}

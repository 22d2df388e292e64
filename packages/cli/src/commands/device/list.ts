// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError } from 'commander';
import type { Device, Filter } from '@mbl/service';
import type { Output } from '../../output.ts';
import { formatAge } from '../../table.ts';
import { value, verb } from '../../verb.ts';
import { wholeNumber } from '../../parameters.ts';

export const listDevices = verb({
  name: 'list',
  description: 'list the devices',
  options: {
    filter: value('filter', "a filter as in the REST API, for example 'state__eq=registered'", {
      parse: parseFilter,
    }),
    limit: value('number', 'at most so many', { parse: wholeNumber(1) }),
  },
  async run({ output, workspace, signal }, { filter, limit }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
    const devices = await client.listDevices({
      signal,
      ...(filter === undefined ? {} : { filter }),
      ...(limit === undefined ? {} : { limit }),
    });
    output.value(devices);
    if (devices.length === 0) {
      output.line(
        filter === undefined ? 'No devices yet. Start with: ./mbl up' : 'No device passes the filter.',
      );
      return;
    }
    output.table(
      ['DEVICE', 'NAME', 'STATE', 'RELEASE', 'KEYS', 'LAST SEEN', 'ADDRESS'],
      devices.map((device) => [
        device.id,
        device.endpoint_name,
        describeState(output, device),
        device.release ?? '-',
        device.image_keys === 'development'
          ? output.style('yellow', 'development')
          : (device.image_keys ?? '-'),
        device.last_seen === null ? 'never' : formatAge(Date.now() - Date.parse(device.last_seen)),
        device.remote_address ?? '-',
      ]),
    );
  },
});

export function describeState(
  output: Output,
  { online, state, operator_suspended: suspended }: Device,
): string {
  if (suspended) return output.style('red', 'suspended');
  if (online) return output.style('green', 'online');
  return state === 'registered' || state === 'deregistered' ? output.style('yellow', 'offline') : state;
}

/** `a__eq=x&b__in=y,z`, as in a query of the REST API. */
function parseFilter(text: string): Filter {
  const filter = Object.fromEntries(new URLSearchParams(text));
  const names = Object.keys(filter);
  if (names.length > 0 && names.every((name) => /^\w+__[a-z]+$/.test(name))) return filter;
  throw new InvalidArgumentError(
    "It must be field__operator=value, as in: --filter 'online__eq=true&endpoint_name__like=board'",
  );
}

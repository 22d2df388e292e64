// SPDX-License-Identifier: Apache-2.0
import type { ResourceValue } from '@mbl/service';
import { required, verb } from '../../verb.ts';
import { device as deviceArgument, resourcePath } from '../../parameters.ts';

/** Reads a resource, an instance or an object. */
export const readResource = verb({
  name: 'read',
  description: 'read a resource of a device',
  arguments: {
    device: deviceArgument,
    path: required('the resource, for example /3/0/3', resourcePath),
  },
  async run(cli, { path, ...given }) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
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
  },
});

function formatValue({ value, units }: ResourceValue): string {
  return units === undefined ? String(value) : `${value} ${units}`;
}

// SPDX-License-Identifier: Apache-2.0
import { exitCodes } from '../../cli.ts';
import { required, verb } from '../../verb.ts';
import { device as deviceArgument, resourcePath } from '../../parameters.ts';

/** Prints a resource now, and each time that it changes. */
export const watchResource = verb({
  name: 'watch',
  description: 'print a resource each time it changes, until Ctrl-C',
  arguments: {
    device: deviceArgument,
    path: required('the resource, for example /3/0/10', resourcePath),
  },
  async run(cli, { path, ...given }) {
    const { findDevice } = await import('../../workbench/service.ts');
    const { output, signal } = cli;
    const { client, device } = await findDevice(cli, given.device);
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
  },
});

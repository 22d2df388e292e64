// SPDX-License-Identifier: Apache-2.0
import type { Cli, Outcome } from '../../cli.ts';
import { oneOf, value, verb } from '../../verb.ts';
import { device as deviceArgument } from '../../parameters.ts';

const options = {
  category: oneOf(
    'category',
    'why',
    ['lost_or_stolen', 'recalled', 'maintenance', 'security_breach', 'other'],
    'other',
  ),
  reason: value('text', 'why, in words, for the events', { fallback: '' }),
};

/** Ends a device's connection and refuses it, at enrolment too, until it is resumed. */
export const suspendDevice = verb({
  name: 'suspend',
  description: 'end the connection of a device, and refuse it until it is resumed',
  arguments: { device: deviceArgument },
  options,
  run: async (cli, given) => await change(cli, given, 'suspendDevice'),
});

export const resumeDevice = verb({
  name: 'resume',
  description: 'accept a suspended device again',
  arguments: { device: deviceArgument },
  options,
  run: async (cli, given) => await change(cli, given, 'resumeDevice'),
});

async function change(
  cli: Cli,
  given: { readonly device: string; readonly category: string; readonly reason: string },
  verb: 'suspendDevice' | 'resumeDevice',
): Outcome {
  const { findDevice } = await import('../../workbench/service.ts');
  const { output, signal } = cli;
  const { client, device } = await findDevice(cli, given.device);
  await client[verb](device.id, given.category, given.reason, { signal });
  const suspended = verb === 'suspendDevice';
  const name = device.endpoint_name;
  output.value({ device: device.id, endpoint_name: name, suspended });
  output.line(
    suspended
      ? `${name} is suspended. Accept it again: ./mbl device resume ${name}`
      : `${name} is accepted again; it comes back by itself`,
  );
}

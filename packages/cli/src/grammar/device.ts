// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { action, boardName, type Define, verb, wholeNumber } from './define.ts';

/** `device list|show|read|write|watch|events|enrol|revoke`. */
export function deviceCommand(define: Define): Command {
  const { cli } = define;
  const verbs = () => import('../verbs/device.ts');
  const device = new Command('device')
    .description('the directory of devices, and what they hold')
    .helpGroup('Devices:');
  const commands = [
    verb('list', 'list the devices')
      .option('--filter <filter>', "a filter as in the REST API, for example 'state__eq=registered'")
      .option('--limit <number>', 'at most so many', wholeNumber(1))
      .action(action(define, async (options) => (await verbs()).listDevices(cli, options))),
    verb('show', 'all that the directory knows of a device')
      .argument('<device>', 'its id or its endpoint name')
      .action(action(define, async (_options, id) => (await verbs()).showDevice(cli, id))),
    verb('read', 'read a resource of a device')
      .argument('<device>', 'its id or its endpoint name')
      .argument('<path>', 'the resource, for example /3/0/3')
      .action(action(define, async (_options, id, path) => (await verbs()).readResource(cli, id, path))),
    verb('write', 'write a resource of a device')
      .argument('<device>', 'its id or its endpoint name')
      .argument('<path>', 'the resource, for example /1/0/1')
      .argument('<value>', 'the value, as text')
      .action(
        action(define, async (_options, id, path, value) =>
          (await verbs()).writeResource(cli, id, path, value),
        ),
      ),
    verb('watch', 'print a resource each time it changes, until Ctrl-C')
      .argument('<device>', 'its id or its endpoint name')
      .argument('<path>', 'the resource, for example /3/0/10')
      .action(action(define, async (_options, id, path) => (await verbs()).watchResource(cli, id, path))),
    verb('events', 'what happened to the devices: registered, lost, refused')
      .option('-f, --follow', 'go on until Ctrl-C')
      .option('--device <device>', 'of this device only: its id or its endpoint name')
      .option('--limit <number>', 'at most so many', wholeNumber(1), 50)
      .action(action(define, async (options) => (await verbs()).listEvents(cli, options))),
    verb('enrol', 'make a one-time enrolment code for a new device')
      .argument('<endpoint>', 'its endpoint name', boardName)
      .action(action(define, async (_options, endpoint) => (await verbs()).enrolDevice(cli, endpoint))),
    verb('revoke', 'revoke the certificate of a device: it is refused from now on')
      .argument('<device>', 'its id or its endpoint name')
      .action(action(define, async (_options, id) => (await verbs()).revokeDevice(cli, id))),
  ];
  for (const command of commands) device.addCommand(command);
  return device;
}

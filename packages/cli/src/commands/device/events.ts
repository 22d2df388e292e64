// SPDX-License-Identifier: Apache-2.0
import { exitCodes } from '../../cli.ts';
import { flag, optional, value, verb } from '../../verb.ts';
import { wholeNumber } from '../../parameters.ts';

const styles = { SUCCESS: 'green', FAIL: 'red', INFO: 'dim' } as const;

/** Prints the newest events, oldest of them first, and with `follow` those to come. */
export const listEvents = verb({
  name: 'events',
  description: 'what happened to the devices: registered, lost, refused',
  arguments: { device: optional('of this device only: its id or its endpoint name') },
  options: {
    follow: flag('go on until Ctrl-C', { short: 'f' }),
    limit: value('number', 'at most so many', { parse: wholeNumber(1), fallback: 50 }),
  },
  async run({ output, workspace, signal }, { follow, device: idOrName, limit }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
    const device = idOrName === undefined ? undefined : await client.findDevice(idOrName, { signal });
    // Opened before the list is read, so that nothing falls between.
    await using watch = follow ? await client.watch({ signal }) : undefined;
    const events = await client.listEvents({
      signal,
      order: 'DESC',
      limit,
      ...(device === undefined ? {} : { filter: { device_id__eq: device.id } }),
    });
    const shown = new Set<string>();
    const show = (event: (typeof events)[number]) => {
      if (shown.has(event.id)) return;
      shown.add(event.id);
      const who = event.endpoint_name ?? event.device_id ?? '-';
      output.line(
        `${output.style('dim', event.date_time)}  ${who}  ${output.style(styles[event.event_type_description], event.event_type)}  ${event.description}`,
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
  },
});

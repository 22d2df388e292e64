// SPDX-License-Identifier: Apache-2.0
import { eventually } from './device.ts';
import type { TestService } from './service.ts';

interface Event {
  readonly event_type: string;
  readonly description: string;
  readonly data: Record<string, string>;
}

/** What the REST API shows of a device, as an owner would look. `service` is asked for each time: tests make it before they run. */
export function directoryView(service: () => TestService) {
  const show = async (id: string) => (await service().get(`/v3/devices/${id}`)).body;
  const eventsOf = async (id: string): Promise<Event[]> =>
    (await service().get(`/v3/device-events?device_id__eq=${id}`)).body.data;
  return {
    show,
    eventsOf,
    /** The kinds of its events, oldest first, without "device.". */
    typesOf: async (id: string): Promise<string[]> =>
      (await eventsOf(id)).map((event) => event.event_type.replace('device.', '')),
    /** Waits until it is shown online, or offline. */
    online: async (id: string, wanted: boolean) =>
      await eventually(async () => (await show(id)).online === wanted, wanted ? 'online' : 'offline'),
  };
}

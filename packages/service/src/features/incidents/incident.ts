// SPDX-License-Identifier: Apache-2.0
import type { Node } from '@mbl/lwm2m';

/** What a board had to do to come back. */
export interface Incident {
  /** Given by the device: `<kind>-<8 hex>`. */
  readonly id: string;
  readonly kind: string;
  /** At most 200 printable ASCII characters. */
  readonly detail: string;
}

const incident = /^(([a-z][a-z-]{0,31})-[0-9a-f]{8}) ([a-z-]{1,32})(?: ([\x20-\x7e]{0,200}))?$/;
/** A device keeps no more. */
const most = 64;

/** Reads the instances of /33400/0/2. What is not an incident is left out: nobody else's words are believed to be text. */
export function parseIncidents(nodes: readonly Node[]): Incident[] {
  const found = new Map<string, Incident>();
  for (const { value } of nodes.slice(0, most)) {
    const match = typeof value === 'string' ? incident.exec(value) : null;
    const [, id = '', ofId = '', kind = '', detail = ''] = match ?? [];
    if (match !== null && kind === ofId) found.set(id, { id, kind, detail });
  }
  return [...found.values()];
}

const sentences: Readonly<Record<string, string>> = {
  'config-made': 'The board lost its configuration and made an empty one',
  'data-made': 'The board lost its data and made an empty file system for it',
  'config-repaired': 'The board repaired the file system of its configuration',
  'data-repaired': 'The board repaired the file system of its data',
  'config-in-memory': 'The board cannot write its configuration, and keeps it in memory',
  'data-in-memory': 'The board cannot write its data, and keeps them in memory',
  'slot-changed': 'The board could not start one slot and started the other',
  'root-damaged': 'The board found damage in its root file system',
  'kernel-panic': 'The kernel of the board gave up, and the board restarted',
  watchdog: 'The board hung, and its watchdog restarted it',
};

/** The incident as a person reads it. */
export function describeIncident({ kind, detail }: Incident): string {
  const what = sentences[kind] ?? `The board came back by itself (${kind})`;
  return detail === '' ? what : `${what}: ${detail}`;
}

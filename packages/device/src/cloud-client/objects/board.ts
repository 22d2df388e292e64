// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError, mblBoardModel, objectInstance } from '@mbl/lwm2m';
import { Cached, instancesOf } from './cached.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** How the board started, and what it had to do to come back. */
export function boardObject({ platform, log, now }: ObjectOptions): DeviceObject {
  const boot = new Cached(() => platform.getBoot(), { now, log });
  const components = new Cached(() => platform.getComponents(), { now, log });
  const incidents = new Cached(() => platform.getIncidents(), { now, log });
  const instance = objectInstance(mblBoardModel, 0, {
    slot: boot.show(({ slot }) => (slot === '' ? undefined : slot)),
    bootAttempts: boot.show(({ slot, attempts }) => (slot === '' ? undefined : attempts)),
    incidents: incidents.show((found) =>
      instancesOf(found.map(({ id, kind, detail }) => [id, kind, detail].join(' ').trimEnd())),
    ),
    bootFirmwareBank: components.show(({ bank }) => known(bank)),
    bootFirmwareDigest: components.show(({ firmware }) => known(firmware)),
    rootHash: components.show(({ root }) => known(root)),
    forgetIncidents: {
      async execute({ values }) {
        const ids = values.get(0)?.split(',') ?? [];
        if (ids.length === 0 || ids.length > 256)
          throw new Lwm2mError(
            'device/bad-incidents',
            "argument 0 is the incidents' ids, with commas between",
            {
              status: Code.BAD_REQUEST,
            },
          );
        await platform.forgetIncidents({ ids });
        log.info('incidents forgotten', { by: 'service', count: ids.length });
        incidents.forget();
        instance.changed('incidents');
      },
    },
  });
  return {
    instances: [instance],
    refresh: async () => {
      await incidents.refresh(() => instance.changed('incidents'));
      await boot.refresh(() => {
        instance.changed('slot');
        instance.changed('bootAttempts');
      });
    },
  };
}

function known(text: string): string | undefined {
  return text === '' ? undefined : text;
}

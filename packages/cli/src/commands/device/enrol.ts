// SPDX-License-Identifier: Apache-2.0
import { flag, required, verb } from '../../verb.ts';
import { endpointName } from '../../parameters.ts';

/** Makes a one-time code with which a device of this name may enrol, or lets it use the code that it has once more. */
export const enrolDevice = verb({
  name: 'enrol',
  description: 'make a one-time enrolment code for a new device',
  arguments: { endpoint: required('its endpoint name', endpointName) },
  options: {
    again: flag('accept the code that it used once more, for 24 hours: the device lost its key'),
  },
  async run({ output, workspace, signal }, { endpoint, again }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
    if (again) {
      const rearmed = await client.rearmEnrolment(endpoint, { signal });
      output.value(rearmed);
      output.table(
        [],
        [
          ['endpoint name', rearmed.endpoint_name],
          ['device', rearmed.device_id],
          ['accepted until', rearmed.rearmed_until ?? '-'],
        ],
      );
      output.remark(
        'The device asks again by itself. Its new certificate replaces the old one, which is refused then.',
      );
      return;
    }
    const enrolment = await client.createEnrolment(endpoint, { signal });
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
  },
});

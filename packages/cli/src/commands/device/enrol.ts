// SPDX-License-Identifier: Apache-2.0
import { required, verb } from '../../verb.ts';
import { endpointName } from '../../parameters.ts';

/** Makes a one-time code with which a device of this name may enrol. */
export const enrolDevice = verb({
  name: 'enrol',
  description: 'make a one-time enrolment code for a new device',
  arguments: { endpoint: required('its endpoint name', endpointName) },
  async run({ output, workspace, signal }, { endpoint }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
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

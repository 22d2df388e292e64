// SPDX-License-Identifier: Apache-2.0
import { endpointName } from '../../parameters.ts';
import { required, value, verb } from '../../verb.ts';

/** Makes the factory configuration of a new device, with an enrolment code of its own. */
export const configureFactory = verb({
  name: 'configure',
  description: 'make factory.json for a new device, with an enrolment code of its own',
  arguments: {
    endpoint: required('its endpoint name', endpointName),
    host: required('where the device finds the service: a name or an address'),
  },
  options: {
    file: value('file', 'where to write it (default: factory.json)', { fallback: 'factory.json' }),
  },
  async run({ output, workspace, signal }, { endpoint, host, file }) {
    const { open, readFile, rm } = await import('node:fs/promises');
    const { factoryFor, formatFactory, parseFactory } = await import('@mbl/formats');
    const { MblError } = await import('@mbl/trust');
    const { clientOf, runningService } = await import('../../workbench/service.ts');
    const service = await runningService(workspace);
    const trust = await readFile(service.trust, 'utf8');
    const given = { endpointName: endpoint, host, trust };
    // What the device would refuse costs no code.
    parseFactory(formatFactory(factoryFor(service, { ...given, enrolmentCode: 'none-yet' })), file);
    // Before the code is made: it is shown once.
    const target = await open(file, 'wx', 0o600).catch((cause: unknown) => {
      throw new MblError('cli/file-exists', `${file} cannot be made: ${(cause as Error).message}`, {
        remedy: 'Name another file with: --file FILE',
        cause,
      });
    });
    try {
      const { code, device_id: device } = await clientOf(service).createEnrolment(endpoint, { signal });
      await target.writeFile(formatFactory(factoryFor(service, { ...given, enrolmentCode: code })));
      await target.sync();
      output.value({ file, device_id: device, endpoint_name: endpoint });
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    } finally {
      await target.close();
    }
    output.remark(`${file} holds a secret that works once. Write it onto the device's disk with:`);
    output.remark(`  ./mbl factory write DISK --file ${file}`);
  },
});

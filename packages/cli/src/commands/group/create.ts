// SPDX-License-Identifier: Apache-2.0
import { required, value, verb } from '../../verb.ts';

export const createGroup = verb({
  name: 'create',
  description: 'make a group, which devices are then put into',
  arguments: { group: required('its name') },
  options: { description: value('text', 'what it is for', { fallback: '' }) },
  async run({ output, workspace, signal }, { group: name, description }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
    const group = await client.groups.create(name, description, { signal });
    output.value(group);
    output.line(`The group ${name} is there. Put a device in: ./mbl group add ${name} NAME`);
  },
});

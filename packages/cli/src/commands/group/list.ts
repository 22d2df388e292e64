// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';

export const listGroups = verb({
  name: 'list',
  description: 'list the groups',
  async run({ output, workspace, signal }) {
    const { connectService } = await import('../../workbench/service.ts');
    const client = await connectService(workspace);
    const groups = await client.groups.list({ signal });
    output.value(groups);
    if (groups.length === 0) return output.line('No groups yet. Make one: ./mbl group create NAME');
    output.table(
      ['NAME', 'DEVICES', 'DESCRIPTION'],
      groups.map((group) => [group.name, `${group.devices_count}`, group.description]),
    );
  },
});

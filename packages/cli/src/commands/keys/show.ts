// SPDX-License-Identifier: Apache-2.0
import { verb } from '../../verb.ts';
import { keysFolder } from '../../workspace.ts';
import { keyOptions } from '../../parameters.ts';

export const showKeys = verb({
  name: 'show',
  description: 'list the keys: name, kind, fingerprint, where they are',
  options: keyOptions,
  async run({ output, workspace, environment }, { keys }) {
    const { loadKeys } = await import('@mbl/trust');
    const { printKeys } = await import('./list.ts');
    await printKeys(output, await loadKeys(keysFolder(workspace, keys), { environment: { ...environment } }));
  },
});

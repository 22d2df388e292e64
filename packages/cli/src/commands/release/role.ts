// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError } from 'commander';
import { wholeNumber } from '../../parameters.ts';
import { flag, required, value, values, verb } from '../../verb.ts';
import { repositoryOption } from './options.ts';

export const changeRole = verb({
  name: 'role',
  description: 'change who may sign a role: new keys, other keys, a team of its own for an app',
  arguments: { role: required('root, targets, snapshot, timestamp, os, or a team that answers for an app') },
  options: {
    ...repositoryOption,
    addKey: values('file', 'a public key (PEM) that may sign it from now on'),
    removeKey: values('id', 'a key that may not any more: the start of its id'),
    remove: flag('the team may sign nothing any more; its keys go with it'),
    threshold: value('number', 'how many of the keys must sign', { parse: wholeNumber(1) }),
  },
  more: 'The change waits for signatures like everything else: those of root, or of targets for a team.',
  async run(cli, { role, repository, addKey, removeKey, remove, threshold }) {
    const { readFile } = await import('node:fs/promises');
    const releases = await import('@mbl/releases');
    const { repositoryFolder } = await import('../../workbench/releases.ts');
    const { output } = cli;
    const folder = repositoryFolder(cli, repository);
    const state = await releases.readRepository(folder);
    if (remove) {
      if (addKey.length + removeKey.length > 0 || threshold !== undefined)
        throw new InvalidArgumentError('A team that is removed has no keys: --remove stands alone.');
      releases.removeTeam(state, role, new Date());
      await releases.writeStaged(folder, state);
      output.value({ role, removed: true, staged: [...state.staged.keys()] });
      output.line(`Nothing of the team ${role} is accepted once the change is signed and published`);
      output.remark('Apps that devices have stay until they are removed. Sign with: ./mbl release sign');
      return;
    }
    const add = await Promise.all(addKey.map(async (file) => releases.tufKey(await readFile(file, 'utf8'))));
    releases.changeRole(state, role, { add, remove: removeKey, threshold }, new Date());
    await releases.writeStaged(folder, state);
    const { keyIds, threshold: needed } = releases.authorityOf(state, role);
    output.value({ role, keys: keyIds, threshold: needed, staged: [...state.staged.keys()] });
    output.table(
      ['ROLE', 'NEEDS', 'KEYS'],
      [[role, `${needed} of ${keyIds.length}`, keyIds.map((id) => id.slice(0, 16)).join(' ')]],
    );
    output.remark(
      `To be signed again: ${[...state.staged.keys()].join(', ')}. Sign with: ./mbl release sign`,
    );
  },
});

// SPDX-License-Identifier: Apache-2.0
import type { MetadataSigner, RepositoryState } from '@mbl/releases';
import { keyOptions, wholeNumber } from '../../parameters.ts';
import { flag, value, values, verb } from '../../verb.ts';
import { repositoryOption } from './options.ts';

export const signRelease = verb({
  name: 'sign',
  description: 'sign what waits in a repository, and publish it when all have signed',
  options: {
    ...repositoryOption,
    ...keyOptions,
    key: values(
      'key',
      'sign with this private key instead of a key set: a PEM file, or pkcs11:token=...;object=...',
    ),
    pkcs11Module: value('file', 'the PKCS#11 module of such a token (PIN: MBL_PKCS11_PIN)'),
    role: value('role', 'only this role: root, targets, or a team'),
    export: value('file', 'sign nothing: write the bytes of --role that are to be signed into a file', {
      conflicts: ['attach', 'key'],
    }),
    attach: value('file', 'a signature of --role made elsewhere, as openssl writes it', {
      conflicts: ['key'],
    }),
    publicKey: value('file', 'the public key of that signature (PEM)'),
    renew: flag('sign root, targets and teams again as they are, for another term'),
    days: value('number', 'how long the newest metadata (snapshot, timestamp) holds', {
      parse: wholeNumber(1),
      fallback: 30,
    }),
  },
  async run(cli, given) {
    const { readFile, writeFile } = await import('node:fs/promises');
    const releases = await import('@mbl/releases');
    const { loadKeys, MblError } = await import('@mbl/trust');
    const { namedSigners, releaseRoot, repositoryFolder, setSigners } = await import(
      '../../workbench/releases.ts'
    );
    const { keysFolder } = await import('../../workspace.ts');
    const { output, workspace, environment } = cli;
    const folder = repositoryFolder(cli, given.repository);
    const now = new Date();
    const noRole = (message: string) =>
      new MblError('cli/no-role', message, { remedy: 'Name it with: --role ROLE' });
    const state = await releases.readRepository(folder);
    if (given.export !== undefined) {
      await writeFile(given.export, releases.exportToSign(state, roleOf(given.role, noRole)));
      output.value({ role: given.role, file: given.export });
      output.remark(`${given.export} holds what is to be signed. Put the signature here with:`);
      output.remark(`  ./mbl release sign --role ${given.role} --attach FILE --public-key FILE`);
      return;
    }
    let signers: MetadataSigner[] = [];
    if (given.key.length > 0) signers = await namedSigners(cli, given.key, given.pkcs11Module);
    else if (given.attach === undefined) {
      const keys = await loadKeys(keysFolder(workspace, given.keys), { environment: { ...environment } });
      const set = await setSigners(keys);
      signers = Object.values(set);
      // A new repository: the key set says who may sign in it.
      if (isNew(state)) releases.beginRepository(state, set, await releaseRoot(keys), now);
    }
    const strangers = signers.every(({ key }) => releases.rolesOf(state, key.id).length === 0);
    if (strangers && given.attach === undefined)
      throw new MblError('release/foreign-key', 'None of these keys may sign anything in this repository.', {
        remedy: 'See who may with: ./mbl release show',
      });
    if (given.renew) releases.renew(state, now);
    if (given.attach !== undefined) {
      if (given.publicKey === undefined)
        throw new MblError(
          'cli/no-public-key',
          'A signature that was made elsewhere needs the public key that it belongs to.',
          {
            remedy: 'Name it with: --public-key FILE',
          },
        );
      const { id } = releases.tufKey(await readFile(given.publicKey, 'utf8'));
      releases.attachSignature(state, roleOf(given.role, noRole), id, await readFile(given.attach));
    } else await releases.signStaged(state, signers, given.role);
    // Snapshot and timestamp are made and signed in here.
    const { files, waiting } = await releases.publish(state, { signers, now, days: given.days });
    const progress = releases.progressOf(state);
    await releases.writePublished(folder, files);
    await releases.writeStaged(folder, state);
    output.value({ repository: folder, published: [...files.keys()], waiting, staged: progress });
    for (const name of files.keys()) output.line(`metadata/${name}`);
    if (progress.length > 0) {
      output.table(
        ['ROLE', 'VERSION', 'SIGNATURES', ''],
        progress.map(({ role, version, signatures, threshold, complete }) => [
          role,
          `${version}`,
          `${signatures} of ${threshold}`,
          complete ? 'complete' : 'waits',
        ]),
      );
    }
    if (waiting.length > 0)
      output.remark(`Nothing is published before these are signed: ${waiting.join(', ')}.`);
    else
      output.remark(
        `${folder} is ready to be served: metadata/ and targets/. Check it with: ./mbl release verify`,
      );
  },
});

function isNew({ published, staged }: RepositoryState): boolean {
  return !published.has('root') && !staged.has('root');
}

function roleOf(role: string | undefined, fail: (message: string) => Error): string {
  if (role === undefined) throw fail('It is not said which role is to be signed.');
  return role;
}

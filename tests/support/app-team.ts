// SPDX-License-Identifier: Apache-2.0
//
// A team with a key of its own that builds an app and signs releases of it, by the commands of a person.
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './attacks.ts';
import { mblJson } from './mbl.ts';

const patience = { timeout: 240_000 };

export interface AppTeam {
  /** The folder of the repository. */
  readonly repository: string;
  /** Makes and signs a release with one app, `sensor`: `lines` are more of its `app.yaml`, `files` lie at the top of its file system. */
  release(
    name: string,
    lines: readonly string[],
    files?: Readonly<Record<string, Uint8Array>>,
  ): Promise<void>;
}

/** A new repository below `folder`, of the working copy's keys, that lets the team sign its own folder. */
export async function appTeam(team: string, folder: string): Promise<AppTeam> {
  const repository = join(folder, 'repository');
  const sign = async (...words: string[]) =>
    void (await mblJson(['release', ...words, '--repository', repository], patience));
  const key = join(folder, team);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  await writeFile(`${key}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(`${key}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
  await sign('sign');
  await sign('role', team, '--add-key', `${key}.pub`);
  await sign('sign');
  return {
    repository,
    async release(name, lines, files = {}) {
      const source = join(folder, `sensor-${name}`);
      await mkdir(join(source, 'root/bin'), { recursive: true });
      await run('aarch64-linux-gnu-gcc', [
        ...['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-s'],
        '-o',
        join(source, 'root/bin/beat'),
        join(import.meta.dirname, 'app-beat.c'),
      ]);
      await writeFile(join(source, 'root/version'), `${name}\n`);
      for (const [file, bytes] of Object.entries(files)) await writeFile(join(source, 'root', file), bytes);
      const yaml = [
        'name: sensor',
        `version: "${name}"`,
        'source: { root: root }',
        'command: [/bin/beat]',
        ...lines,
      ];
      await writeFile(join(source, 'app.yaml'), `${yaml.join('\n')}\n`);
      const output = join(folder, 'packages', name);
      await mblJson(['app', 'build', source, '--output', output], patience);
      await sign('create', name, output, '--team', team, '--level', '3');
      await sign('sign', '--key', `${key}.key`);
      await sign('sign');
    },
  };
}

// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Cli } from '../../cli.ts';
import { formatSize } from '../../table.ts';
import { value, verb } from '../../verb.ts';
import { repositoryOption } from './options.ts';

export const publishRelease = verb({
  name: 'publish',
  description: 'send a signed repository to the service, which serves it to devices',
  options: {
    ...repositoryOption,
    service: value(
      'url',
      'its REST API, as in https://service.example (default: the service of this workspace)',
    ),
  },
  more: 'The key for another service: MBL_API_KEY. The service of a workspace serves .mbl/releases as it is.',
  async run(cli, { repository, service }) {
    const { readPublished, sendFile } = await import('../../workbench/publish.ts');
    const { repositoryFolder } = await import('../../workbench/releases.ts');
    const { osTeam } = await import('@mbl/formats');
    const { output, signal } = cli;
    const folder = repositoryFolder(cli, repository);
    const client = await clientOf(cli, service);
    const { metadata, files } = await output.progress.phase(
      'check the repository as a device would',
      async () => await readPublished(folder, signal),
    );
    const digests = Object.fromEntries(metadata);
    let sent = 0;
    let offered = await client.releases.offer(digests, { signal });
    await output.progress.phase(
      'send what the service lacks',
      async (report) => {
        // Once for metadata, once for what that names, and again for what another one took away meanwhile.
        for (let round = 0; offered.state === 'incomplete' && round < 4; round++) {
          const { missing } = offered;
          const total = missing.reduce((sum, { sha256 }) => sum + (files.get(sha256)?.size ?? 0), 0);
          let done = 0;
          for (const { sha256, path, received } of missing) {
            const file = files.get(sha256);
            if (file === undefined) throw lacks(folder, path);
            await sendFile(client, { sha256, file, received, signal }, (bytes) => {
              sent += bytes;
              report((done += bytes) / total, path);
            });
          }
          offered = await client.releases.offer(digests, { signal });
        }
      },
      () => (sent === 0 ? { quiet: true } : { note: formatSize(sent) }),
    );
    if (offered.state === 'incomplete') throw lacks(folder, offered.missing[0]?.path ?? '');
    output.value({ repository: folder, sent, metadata: offered.metadata });
    const releases = await client.releases.list({ signal });
    const names = releases
      .map(({ team, name }) => (team === osTeam ? name : `${name} of ${team}`))
      .join(', ');
    output.line(
      offered.metadata.length === 0
        ? `The service has all of it already: ${names}`
        : `The service serves ${names}`,
    );
    const newest = releases.findLast(({ team }) => team === osTeam)?.name ?? 'RELEASE';
    output.remark(`Send a device there: ./mbl device update NAME ${newest}`);
  },
});

function lacks(folder: string, path: string): MblError {
  return new MblError('release/missing', `The repository ${folder} has no ${path} as it was signed.`, {
    remedy: 'Copy the folder again, or take it from a backup. Check it with: ./mbl release verify',
  });
}

async function clientOf({ workspace, environment }: Cli, url: string | undefined) {
  const { connectService } = await import('../../workbench/service.ts');
  if (url === undefined) return await connectService(workspace);
  const apiKey = environment['MBL_API_KEY'];
  if (apiKey === undefined || apiKey === '')
    throw new MblError('cli/no-api-key', `The service at ${url} wants an API key.`, {
      remedy: 'Give it as MBL_API_KEY',
    });
  const { ServiceClient } = await import('@mbl/service');
  return new ServiceClient({ url, apiKey });
}

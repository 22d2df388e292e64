// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FsVerityHasher } from '@mbl/blocks';
import { type AppDescription, formatApp } from '@mbl/formats';

/** The `app.json` of an app whose file system is `image`. */
export function appOf(name: string, image: Buffer, release = '1.0'): AppDescription {
  const verity = new FsVerityHasher();
  verity.update(image);
  return {
    version: 1,
    name,
    release,
    summary: '',
    architecture: 'arm64',
    image: {
      file: 'app.erofs',
      size: image.length,
      sha256: createHash('sha256').update(image).digest('hex'),
      fsVerity: verity.finish(),
    },
    command: ['/bin/app'],
    environment: [],
    workingDirectory: '/',
    users: 'one',
    user: { uid: 0, gid: 0, groups: [] },
    stop: { signal: 'SIGTERM', grace: 10 },
    permissions: { network: 'none', ports: [], devices: [], bus: { talk: [], own: [] } },
    limits: { memory: 1 << 26, cpu: 50, processes: 64, read: 1e6, write: 1e6, log: 1000 },
    restart: { when: 'on-failure', delay: 1, longest: 60 },
    volumes: [],
    resources: [],
    after: [],
  };
}

/** Writes the package of an app to a folder. */
export async function syntheticApp(folder: string, name: string, image: Buffer): Promise<AppDescription> {
  const app = appOf(name, image);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'app.erofs'), image);
  await writeFile(join(folder, 'app.json'), formatApp(app));
  await writeFile(join(folder, 'packages.cdx.json'), '{"components":[]}');
  return app;
}

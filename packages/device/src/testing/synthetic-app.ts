// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { FsVerityHasher } from '@mbl/blocks';
import type { AppDescription } from '@mbl/formats';

/** The `app.json` of an app whose file system is `image`. */
export function appOf(name: string, image: Buffer, more: Partial<AppDescription> = {}): AppDescription {
  const verity = new FsVerityHasher();
  verity.update(image);
  const sha256 = createHash('sha256').update(image).digest('hex');
  return {
    version: 1,
    name,
    release: '1.0',
    summary: '',
    architecture: 'arm64',
    image: { file: 'app.erofs', size: image.length, sha256, fsVerity: verity.finish() },
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
    ...more,
  };
}

// SPDX-License-Identifier: Apache-2.0
//
// Budgets: a one-line change of device code to a signed image, the root from cached packages, its sizes. Peer: mmdebstrap, same packages,
// in the variant that does the least (unpack only, no maintainer scripts) and writes a plain tar; then the mkfs.erofs that we use, on it.
import { appendFile, cp, mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { downloadSize, findMirrors, openLockedToolbox } from '@mbl/builder';
import { parseImage } from '@mbl/formats';
import { report, root, run, scratch } from './support.ts';

interface Build {
  readonly directory: string;
  readonly tasks: readonly {
    readonly task: string;
    readonly seconds: number;
    readonly cached: boolean;
    readonly folder: string;
  }[];
}

const keys = process.env['MBL_KEYS'] ?? join(root, '.mbl/keys');
const cache = process.env['MBL_CACHE'] ?? join(process.env['HOME'] ?? '/root', '.cache/mbl');
const image = JSON.parse(
  (await run(join(root, 'mbl'), ['build', '--image', 'production', '--json'])).stdout,
) as Build;

await using work = await scratch();
const clone = join(work.path, 'clone');
await run('git', ['clone', '-q', root, clone]);
await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
const build = async (
  env: Readonly<Record<string, string>>,
): Promise<Build & { readonly seconds: number }> => {
  const args = ['packages/cli/src/main.ts', 'build', '--image', 'production', '--keys', keys, '--json'];
  const { stdout, seconds } = await run(process.execPath, args, { cwd: clone, env });
  return { ...(JSON.parse(stdout) as Build), seconds };
};

await build({ MBL_CACHE: cache });
await appendFile(
  join(clone, 'packages/device/src/cloud-client/main.ts'),
  `\nconsole.log('changed ${Date.now()}');\n`,
);
const changed = await build({ MBL_CACHE: cache });

// The same cache but for what the root is made of, which is built again.
const cold = join(work.path, 'cache');
await mkdir(cold);
for (const name of await readdir(cache)) {
  if (name === 'tasks') await run('cp', ['-al', join(cache, name), join(cold, name)]);
  else if (name !== 'staging' && name !== 'logs') await symlink(join(cache, name), join(cold, name));
}
for (const output of await readdir(join(cold, 'tasks')))
  if (/^(packages|root|kernel-modules|device-services)-/.test(output))
    await rm(join(cold, 'tasks', output), { recursive: true, force: true });
const { tasks } = await build({ MBL_CACHE: cold });
const spent = (...names: string[]): number =>
  tasks.filter(({ task }) => names.includes(task)).reduce((sum, { seconds }) => sum + seconds, 0);

const lock = JSON.parse(await readFile(join(root, 'os/locks/trixie/root-production.json'), 'utf8')) as {
  packages: { name: string; version: string; architecture: string; sha256: string }[];
};
// The peer finds the packages in apt's archive, as we find them in our cache; it still asks the mirror for its indexes.
const archive = join(work.path, 'archive');
await mkdir(archive);
for (const { name, version, architecture, sha256 } of lock.packages)
  await cp(
    join(cache, 'downloads', sha256.slice(0, 2), sha256),
    join(archive, `${name}_${version.replace(':', '%3a')}_${architecture}.deb`),
  );
const toolbox = await openLockedToolbox(join(root, 'os'), 'image', { cache });
const { main } = await findMirrors();
const peer = await run('mmdebstrap', [
  '--quiet',
  '--variant=extract',
  '--architectures=arm64',
  '--aptopt=APT::Install-Recommends "false"',
  '--skip=download/empty',
  `--setup-hook=mkdir -p "$1/var/cache/apt/archives" && cp ${archive}/*.deb "$1/var/cache/apt/archives/"`,
  `--include=${lock.packages.map(({ name }) => name).join(',')}`,
  'trixie',
  join(work.path, 'peer.tar'),
  main,
]);
// The peer's tar has no Node, which is no Debian package and a third of the root.
const node = image.tasks.find(({ task }) => task === 'node')?.folder ?? '';
await run('tar', ['-C', node, '-rf', join(work.path, 'peer.tar'), './usr/bin/node']);
const mkfs = join(toolbox.path[0] ?? '', 'mkfs.erofs');
const compression = ['-zlz4hc,level=9', '-C65536', '--workers=2'];
const peerImage = await run(mkfs, [
  '--quiet',
  '--tar=f',
  ...compression,
  join(work.path, 'peer.erofs'),
  join(work.path, 'peer.tar'),
]);
const description = join(image.directory, 'image.json');
const { hashOffset } = parseImage(await readFile(description, 'utf8'), description).root;
const sealed = join(tasks.find(({ task }) => task === 'root')?.folder ?? '', 'root.img');
report([
  {
    name: 'one-line change in device code to a signed disk image',
    value: changed.seconds,
    unit: 's',
    budget: 5,
  },
  ...changed.tasks
    .filter(({ cached }) => !cached)
    .map(({ task, seconds }) => ({ name: `  of it: ${task}`, value: seconds, unit: 's' as const })),
  {
    name: 'root assembled from cached packages',
    value: spent('packages', 'root-base', 'root'),
    unit: 's',
    budget: 15,
  },
  {
    name: '  the same beside mmdebstrap --variant=extract and mkfs.erofs',
    value: spent('packages', 'root-base', 'root'),
    unit: 's',
    budget: peer.seconds + peerImage.seconds,
  },
  { name: '  of it: unpacking packages', value: spent('packages'), unit: 's' },
  { name: '    peer: mmdebstrap --variant=extract to a tar', value: peer.seconds, unit: 's' },
  { name: '  of it: overlay, erofs, hash tree', value: spent('root-base', 'root'), unit: 's' },
  { name: '    peer: mkfs.erofs alone, on that tar', value: peerImage.seconds, unit: 's' },
  {
    name: 'root on the disk, with its hash tree',
    value: (await stat(sealed)).size / 1e6,
    unit: 'MB',
    budget: 130,
  },
  { name: '  of it: the hash tree', value: ((await stat(sealed)).size - hashOffset) / 1e6, unit: 'MB' },
  { name: 'root as a zstd download', value: (await downloadSize(sealed)) / 1e6, unit: 'MB', budget: 80 },
]);

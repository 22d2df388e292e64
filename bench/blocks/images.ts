// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from 'node:fs';
import { cp, lstat, mkdir, open, readdir, readFile, readlink, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BLOCK_SIZE, VerityHasher } from '@mbl/blocks';
import { findMirrors } from '@mbl/builder';
import { run } from '../support.ts';

/** A root without its tree, and what is signed of it. */
export interface Root {
  readonly path: string;
  readonly dataBlocks: number;
  readonly rootHash: string;
  /** Hex. */
  readonly salt: string;
}

const salt = '42'.repeat(32);

/** The root that a task of the build left, without its tree. */
export async function builtRoot(folder: string, path: string): Promise<Root> {
  const { dataSize } = JSON.parse(await readFile(join(folder, 'root.json'), 'utf8')) as { dataSize: number };
  await cp(join(folder, 'root.img'), path);
  await truncate(path, dataSize);
  return await describe(path);
}

async function describe(path: string): Promise<Root> {
  const { size } = await stat(path);
  await truncate(path, Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE);
  const hasher = new VerityHasher(Buffer.from(salt, 'hex'));
  await using file = await open(path);
  for await (const piece of file.createReadStream({ autoClose: false })) hasher.update(piece as Buffer);
  const { dataBlocks, rootHash } = hasher.finish();
  return { path, dataBlocks, rootHash, salt };
}

/** Unpacks a root, and packs it as the builder does; `change` may change the files between. */
export async function repacked(
  from: Root,
  path: string,
  work: string,
  change: (files: string) => Promise<void>,
): Promise<Root> {
  const files = join(work, 'files');
  await mkdir(work, { recursive: true });
  await run('fsck.erofs', [`--extract=${files}`, '--no-preserve-owner', from.path]);
  await change(files);
  const erofs = [
    '--quiet',
    '-zlz4hc,level=9',
    '-C65536',
    '-T0',
    '-U',
    '5b2f4d4e-0000-4000-8000-000000000001',
  ];
  await run('mkfs.erofs', [...erofs, '--all-root', '--workers=2', path, files]);
  return await describe(path);
}

interface Package {
  readonly name: string;
  readonly version: string;
  readonly path: string;
  readonly security: boolean;
}

/** Versions that Debian's archives have beside those of the lock; from the lists that the build's apt keeps in the cache. */
export async function otherVersions(cache: string, lock: string): Promise<Package[]> {
  const { packages } = JSON.parse(await readFile(lock, 'utf8')) as {
    packages: { name: string; version: string }[];
  };
  const locked = new Map(packages.map(({ name, version }) => [name, version]));
  const found = new Map<string, Package>();
  const folders = (await readdir(join(cache, 'apt')).catch(() => [])).filter((name) =>
    name.startsWith('trixie-arm64-binary'),
  );
  for (const folder of folders.slice(0, 1)) {
    const lists = join(cache, 'apt', folder, 'lists');
    for (const list of (await readdir(lists)).filter((name) => name.endsWith('_Packages')))
      for (const stanza of (await readFile(join(lists, list), 'utf8')).split('\n\n')) {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1] ?? '';
        const [name, version] = [field('Package'), field('Version')];
        if (locked.has(name) && locked.get(name) !== version && !found.has(name))
          found.set(name, { name, version, path: field('Filename'), security: list.includes('-security_') });
      }
  }
  return [...found.values()];
}

/** Puts the files of packages in the place of those that a root has. */
export async function install(packages: readonly Package[], files: string, work: string): Promise<number> {
  const mirrors = await findMirrors();
  let changed = 0;
  for (const [number, { path, security }] of packages.entries()) {
    const answer = await fetch(`${security ? mirrors.security : mirrors.main}/${path}`, {
      signal: AbortSignal.timeout(120_000),
    });
    if (!answer.ok || answer.body === null) throw new Error(`${path}: ${answer.status}`);
    const [deb, unpacked] = [join(work, 'package.deb'), join(work, 'packages', String(number))];
    await pipeline(answer.body, createWriteStream(deb));
    await mkdir(unpacked, { recursive: true });
    await run('dpkg-deb', ['-x', deb, unpacked]);
    for (const name of await readdir(unpacked, { recursive: true })) {
      const [source, target] = [join(unpacked, name), join(files, name)];
      const [is, was] = await Promise.all([lstat(source), lstat(target).catch(() => undefined)]);
      if (!is.isFile() || was?.isFile() !== true || (await same(source, target))) continue;
      await cp(source, target);
      changed += 1;
    }
    // A library's name has its version; what the link leads to now is the file that has to change.
    for (const name of await readdir(unpacked, { recursive: true })) {
      const [source, target] = [join(unpacked, name), join(files, name)];
      const [is, was] = await Promise.all([lstat(source), lstat(target).catch(() => undefined)]);
      if (!is.isSymbolicLink() || was?.isSymbolicLink() !== true) continue;
      const [now, then] = await Promise.all([readlink(source), readlink(target)]);
      if (now === then) continue;
      await cp(join(source, '..', now), join(target, '..', then));
      changed += 1;
    }
  }
  return changed;
}

async function same(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([readFile(a), readFile(b)]);
  return one.equals(other);
}

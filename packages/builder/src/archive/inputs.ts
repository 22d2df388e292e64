// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';
import { Downloads, fileName, type ObtainOptions } from '../debian/downloads.ts';
import { type Architecture, downloadPackages } from '../debian/packages.ts';
import { downloadSource } from '../debian/source.ts';
import type { LockSource, WantedLock } from '../locks/lock-files.ts';
import { sameRequest, type Stages } from '../locks/stages.ts';
import { runtimePackages } from '../npm/package-lock.ts';
import { integrityOf, obtainTarballs, tarballPath } from '../npm/tarballs.ts';
import type { Lock, LockedFile, LockedNpm, LockedPackage } from '../recipes/lock.ts';
import type { ResolvedInputs } from '../resolve.ts';
import { toolSuite } from '../tools/contents.ts';
import { hostArchitecture } from '../tools/toolbox.ts';
import { type ArchivedFile, sortFiles } from './manifest.ts';
import type { Archive } from './read.ts';
import { type FileToArchive, writeArchive } from './write.ts';

export interface ArchiveOptions extends ObtainOptions {
  readonly path: string;
  /** The repository: its `package-lock.json` names what the workbench itself runs with. */
  readonly repository: string;
  readonly cache: string;
  readonly stages: Stages;
  readonly inputs: ResolvedInputs;
  readonly locks: ReadonlyMap<string, Lock>;
}

/**
 * Puts all that a build fetched into one file: packages, sources and this kind of host's tools by the locks; Node of the device; and the npm
 * packages that the workbench runs with. What the cache lacks is fetched. Returns the number of files and the archive's size in bytes.
 */
export async function archiveInputs(options: ArchiveOptions): Promise<{ files: number; size: number }> {
  const { inputs, stages, cache, repository, signal } = options;
  const { machine, image } = stages.whole;
  const { suite } = image;
  const { root, boot, sources } = inputs;
  const host = hostArchitecture();
  await downloadPackages(root, { suite, architecture: machine.architecture }, options);
  await downloadPackages(boot, { suite, architecture: machine.architecture }, options);
  await downloadPackages(toolsOf(inputs, host), { suite: toolSuite, architecture: host }, options);
  for (const source of Object.values(sources)) await downloadSource(source, options);
  const downloads = new Downloads(join(cache, 'downloads'));
  // The size of what is there: a lock's may be wrong, its digest is not.
  const debian = await Promise.all(
    debianFiles(inputs, host).map(async (file): Promise<FileToArchive> => {
      const from = downloads.path(file.sha256);
      const { size } = await stat(from);
      return { kind: 'debian', sha256: file.sha256, size, name: fileName(file), from };
    }),
  );
  const npm = await npmFiles(
    [inputs.node, ...(await runtimePackages(join(repository, 'package-lock.json')))],
    options,
  );
  const files = [...debian, ...npm];
  await mkdir(dirname(options.path), { recursive: true });
  const manifest = { machine: machine.name, image: image.name, locks: options.locks };
  return { files: sortFiles(files).length, size: await writeArchive(options.path, manifest, files, signal) };
}

/** Fills the cache from an archive with what a build on this kind of host needs. Throws `builder/archive-incomplete` with what it lacks. */
export async function restoreInputs(
  archive: Archive,
  inputs: ResolvedInputs,
  host: Architecture,
  cache: string,
  signal?: AbortSignal,
): Promise<void> {
  const there = new Map(archive.manifest.files.map((file) => [`${file.kind} ${file.sha256}`, file]));
  const downloads = new Downloads(join(cache, 'downloads'));
  const missing: string[] = [];
  const found = new Map<ArchivedFile, string>();
  for (const file of debianFiles(inputs, host)) {
    const archived = there.get(`debian ${file.sha256}`);
    if (archived === undefined) missing.push(fileName(file));
    else found.set(archived, downloads.path(file.sha256));
  }
  // Its lock knows another kind of digest, so it is found by its name and checked when it is here.
  const node = tarballPath(cache, inputs.node);
  const archivedNode = archive.manifest.files.find(
    ({ kind, name }) => kind === 'npm' && name === basename(node),
  );
  if (archivedNode === undefined) missing.push(basename(node));
  else found.set(archivedNode, node);
  if (missing.length > 0)
    throw new MblError(
      'builder/archive-incomplete',
      `The archive ${archive.path} lacks ${missing.join(', ')}.`,
      {
        remedy: 'Take another copy of it, or build with the network: leave out --from-archive.',
        details: { names: missing },
      },
    );
  for (const [file, target] of found) {
    signal?.throwIfAborted();
    await archive.extract(file, target, signal);
  }
  if (integrityOf(await readFile(node)) !== inputs.node.integrity)
    throw new MblError(
      'builder/archive-invalid',
      `The archive ${archive.path} holds ${basename(node)} with another content than the lock says.`,
      { remedy: 'Take another copy of the archive.' },
    );
}

/** The locks that an archive was made with. They are taken as they are; no lock file is read or written. */
export class ArchivedLocks implements LockSource {
  readonly locks = new Map<string, Lock>();
  readonly #archive: Archive;
  readonly #stages: Stages;

  constructor(archive: Archive, stages: Stages) {
    this.#archive = archive;
    this.#stages = stages;
  }

  /** Throws `builder/archive-mismatch` when the recipes ask for something else than what the archive was made for. */
  async obtain({ file, request }: WantedLock): Promise<Lock> {
    const lock = this.#archive.manifest.locks.get(file);
    const asked = (await request(this.#stages.whole)) ?? [];
    if (lock !== undefined && sameRequest(lock.request, asked)) {
      this.locks.set(file, lock);
      return lock;
    }
    const { machine, image } = this.#archive.manifest;
    const more = asked.filter((entry) => !lock?.request.includes(entry));
    const what =
      lock === undefined
        ? `it was made for ${machine}-${image} and has no lock ${file}`
        : `its lock ${file} is for another request${more.length > 0 ? `, without ${more.join(', ')}` : ''}`;
    throw new MblError(
      'builder/archive-mismatch',
      `The archive ${this.#archive.path} does not fit these recipes: ${what}.`,
      {
        remedy:
          'Build the machine and the image that the archive was made for, with the layers and the commit that it was made from.',
      },
    );
  }
}

function debianFiles(inputs: ResolvedInputs, host: Architecture): LockedFile[] {
  const { root, boot, sources } = inputs;
  const packages = [...root, ...boot, ...toolsOf(inputs, host)];
  return [...packages, ...Object.values(sources).flatMap(({ files }) => files)];
}

function toolsOf({ tools }: ResolvedInputs, host: Architecture): LockedPackage[] {
  return Object.values(tools).flatMap((each) => each[host]);
}

async function npmFiles(packages: readonly LockedNpm[], options: ArchiveOptions): Promise<FileToArchive[]> {
  const byIntegrity = new Map(packages.map((each) => [each.integrity, each]));
  const paths = await obtainTarballs(options.cache, [...byIntegrity.values()], options);
  return Promise.all(
    [...paths.values()].map(async (from): Promise<FileToArchive> => {
      const bytes = await readFile(from);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { kind: 'npm', sha256, size: bytes.length, name: basename(from), from };
    }),
  );
}

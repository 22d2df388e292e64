// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FsVerityHasher, makeErofs } from '@mbl/blocks';
import { type AppDescription, type AppImage, formatApp, formatBill, parseApp } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { findPackages } from '../bill/packages.ts';
import { emptyConfig, type ImageConfig } from '../image/documents.ts';
import { buildContainerfile, fetchImage } from '../image/make.ts';
import { openImage } from '../image/open.ts';
import { Spool } from '../layers/spool.ts';
import { defaultLimits, type Limits } from '../limits.ts';
import type { AppFile } from '../recipe/app-file.ts';
import { commandOf, describeApp, environmentOf, userOf } from '../recipe/describe.ts';
import { findAccount } from '../root/accounts.ts';
import { composeRoot, entriesOf, type RootChanges } from '../root/compose.ts';
import { readFolder } from '../root/from-folder.ts';
import { checkProgram } from '../root/program.ts';
import type { Tree } from '../root/tree.ts';
import { unpackLayers } from '../root/unpack.ts';
import { formatFiles } from './files-list.ts';
import { appFiles } from './folder.ts';

/**
 * What an app is made of: an image that is there as a file or a folder, a folder that is the root file system, or what another tool makes an
 * image of.
 */
export type AppSource =
  | { readonly image: string; readonly tag?: string | undefined }
  | { readonly root: string }
  | { readonly containerfile: string }
  | { readonly registry: string };

export interface BuildAppOptions {
  readonly app: AppFile;
  readonly source: AppSource;
  /** The folder of the package; what was there is replaced. */
  readonly output: string;
  /** Environment of mkfs.erofs: its PATH. */
  readonly environment: Readonly<Record<string, string>>;
  /** The user's environment, for skopeo and buildah. */
  readonly userEnvironment?: Readonly<Record<string, string | undefined>>;
  readonly limits?: Limits;
  readonly signal?: AbortSignal;
  /** What is being done. */
  readonly onPhase?: (what: string) => void;
}

/** A package that was made. */
export interface BuiltApp {
  readonly folder: string;
  readonly app: AppDescription;
  /** What kind of image it was made of. */
  readonly kind: string;
  /** SHA-256 of the image's configuration, where it has one. */
  readonly imageId: string | undefined;
  readonly changes: RootChanges;
  /** Names in the root file system. */
  readonly entries: number;
  /** Packages in its bill of materials. */
  readonly packages: number;
  /** Ports that the image exposes, as in `8080/tcp`, and app.yaml does not ask for. */
  readonly exposed: readonly string[];
}

/**
 * Makes the package of an app: `app.erofs`, its root file system with a known fs-verity digest, and `app.json`. The bytes depend on the image,
 * on `app.yaml` and on the version of mkfs.erofs. Throws `apps/…`, `blocks/mkfs-failed`, `blocks/no-mkfs`.
 */
export async function buildApp(options: BuildAppOptions): Promise<BuiltApp> {
  const { app, source, limits = defaultLimits, onPhase = () => undefined } = options;
  await using spool = await Spool.open(tmpdir());
  if ('root' in source) {
    onPhase('reading the folder');
    const tree = await readFolder(source.root, spool, limits);
    return await makePackage(options, tree, spool, emptyConfig, { kind: 'folder', imageId: undefined });
  }
  await using made = await makeImage(source, options);
  await using image = await openImage(made.image, { limits, tag: made.tag, scratch: tmpdir() });
  // What can be told by the configuration is told before gigabytes are read.
  commandOf(app, image.config);
  const tree = await unpackLayers(image.layers, spool, limits, (layer, entries) => {
    options.signal?.throwIfAborted();
    onPhase(`unpacking layer ${layer + 1} of ${image.layers.length}: ${entries} files`);
  });
  return await makePackage(options, tree, spool, image.config, { kind: image.kind, imageId: image.id });
}

/** The image of a source, which another tool may have to make. */
async function makeImage(
  source: Exclude<AppSource, { root: string }>,
  { userEnvironment = {}, signal, onPhase = () => undefined }: BuildAppOptions,
): Promise<AsyncDisposable & { readonly image: string; readonly tag?: string | undefined }> {
  if ('image' in source) return { ...source, [Symbol.asyncDispose]: async () => undefined };
  const scratch = await mkdtemp(join(tmpdir(), 'mbl-image-'));
  const dispose = () => rm(scratch, { recursive: true, force: true });
  const options = { scratch, environment: userEnvironment, signal };
  try {
    onPhase('containerfile' in source ? 'building the image' : 'fetching the image');
    const image =
      'containerfile' in source
        ? await buildContainerfile(source.containerfile, options)
        : await fetchImage(source.registry, options);
    return { image, [Symbol.asyncDispose]: dispose };
  } catch (cause) {
    await dispose();
    throw cause;
  }
}

async function makePackage(
  options: BuildAppOptions,
  tree: Tree,
  spool: Spool,
  config: ImageConfig,
  origin: Pick<BuiltApp, 'kind' | 'imageId'>,
): Promise<BuiltApp> {
  const { app, output, signal, onPhase = () => undefined } = options;
  const users = app.users ?? 'one';
  checkProgram(tree, spool, commandOf(app, config), environmentOf(app, config));
  const account =
    users === 'one' ? { uid: 0, gid: 0, groups: [] } : findAccount(tree, spool, userOf(app, config));
  const changes = composeRoot(tree, { users, volumes: (app.volumes ?? []).map(({ part }) => part.path) });
  const draft = `${output}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    onPhase('writing the file system');
    const erofs = join(draft, appFiles.image);
    await makeErofs(entriesOf(tree, spool), erofs, {
      uuid: uuidOf(app.name),
      time: 0,
      ownTimes: true,
      label: app.name.slice(0, 15),
      environment: options.environment,
      signal,
    });
    const description = describeApp(app, config, await measure(erofs, signal), account);
    // What no device could read is not given out.
    const text = formatApp(description);
    parseApp(text, appFiles.description);
    await writeFile(join(draft, appFiles.description), text);
    const bill = findPackages(tree, spool);
    const whole = { type: 'application', name: app.name, version: app.version } as const;
    await writeFile(join(draft, appFiles.bill), formatBill(whole, bill));
    await writeFile(join(draft, appFiles.files), formatFiles(tree, spool));
    await rm(output, { recursive: true, force: true });
    await rename(draft, output);
    const asked = new Set(description.permissions.ports.map(({ port, protocol }) => `${port}/${protocol}`));
    const exposed = config.ports.filter((port) => !asked.has(port.includes('/') ? port : `${port}/tcp`));
    const entries = [...tree.walk()].length;
    return { folder: output, app: description, ...origin, changes, entries, packages: bill.length, exposed };
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    if (cause instanceof MblError && cause.code === 'formats/bad-app')
      throw new MblError(
        'apps/bad-image',
        `The image says something that no app can have: ${cause.message}.`,
        {
          remedy: 'Set it in app.yaml.',
          cause,
        },
      );
    throw cause;
  }
}

/** Size and digests of an app's image. */
export async function measure(path: string, signal?: AbortSignal): Promise<AppImage> {
  const sha256 = createHash('sha256');
  const verity = new FsVerityHasher();
  await using file = await open(path, 'r');
  const piece = Buffer.allocUnsafe(1 << 20);
  for (;;) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(piece, 0, piece.length, null);
    if (bytesRead === 0) break;
    sha256.update(piece.subarray(0, bytesRead));
    verity.update(piece.subarray(0, bytesRead));
  }
  const { size } = await stat(path);
  return { file: appFiles.image, size, sha256: sha256.digest('hex'), fsVerity: verity.finish() };
}

/** A UUID (version 8, own meaning) that an app's name gives. */
function uuidOf(name: string): string {
  const bytes = createHash('sha256').update(`app ${name}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

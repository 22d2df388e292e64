// SPDX-License-Identifier: Apache-2.0
/**
 * The root file system, from resolved packages to a sealed image. Nothing of the target runs, no privileges are needed.
 *
 * ```ts
 * const packages = await resolvePackages({ suite, architecture: 'arm64', packages: image.packages }, { cache });  // or from the lock
 * const files = await downloadPackages(packages, { suite, architecture: 'arm64' }, { cache });
 * const policy = await readPolicy(policyFiles(osDirectory, layers));
 * const unpacked = await unpackPackages(packages.map((p) => ({ ...p, file: files.get(p.name) })), policy);        // keep: storeUnpacked
 * const result = await buildRoot({ unpacked, policy, … });                                                       // root.img, root.json, …
 * ```
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Base } from './base.ts';
import { makeAccounts, type ExtraUser } from './accounts.ts';
import { checkLibraries } from './elf.ts';
import { sourceDateEpoch } from '../engine/run-command.ts';
import { BUNDLED_COMPONENTS } from './bundles.ts';
import { layFolder } from './overlay.ts';
import type { Policy } from './policy.ts';
import { applyPresets, type UnitChoice } from './presets.ts';
import { type SealedImage, type SealOptions, sealImage, uuidOf, writeDescription } from './seal.ts';
import { type Owners, Tree } from './tree.ts';
import type { Unpacked } from './unpack.ts';

/** What a root is put together from. */
export interface RootParts {
  readonly unpacked: Unpacked;
  readonly policy: Policy;
  /** Folders laid over the packages, later ones win: `os/rootfs/base`, `os/rootfs/device`, the image's, the layers'. */
  readonly folders: readonly string[];
  /** More files by path (`etc/mbl/image.json`, `usr/lib/modules/…`); they win over the folders. */
  readonly files: ReadonlyMap<string, Buffer | string>;
  readonly hostname: string;
  readonly services: UnitChoice;
  readonly login: { readonly console: 'none' | 'getty'; readonly ssh: 'none' | 'key' };
  readonly users: readonly ExtraUser[];
  /** Sees what would be sealed, and throws to refuse it. */
  readonly judge?: ((tree: Tree) => void) | undefined;
}

export interface RootInput extends RootParts {
  /** Folder for `root.img` and `root.json`; made when missing. */
  readonly out: string;
  /** The image's; it gives the salt and the UUID. */
  readonly name: string;
  /** What `storeBase` left; it spares most of the time, and decides where data stands in the image. */
  readonly base?: Base | undefined;
  readonly log?: (line: string) => void;
  readonly progress?: (fraction: number | undefined, what?: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Lays everything over the packages, makes accounts and unit links, and checks that no library is missing. Throws what its parts throw:
 * `builder/path-conflict`, `builder/unknown-id`, `builder/unknown-unit`, `builder/missing-library`, `builder/missing-file`.
 */
export const composeRoot = async (parts: RootParts): Promise<{ tree: Tree; owners: Owners }> => {
  const { unpacked, policy } = parts;
  // A copy: the packages' own tree serves other images too.
  const tree = new Tree(unpacked.tree.entries());
  for (const path of FOLDERS) tree.directory(path, 'the build');
  for (const folder of parts.folders) await layFolder(tree, folder);
  for (const [path, data] of parts.files) tree.file(path, data, 'the build');
  // For the bill of materials; the device does not need it.
  tree.remove(BUNDLED_COMPONENTS);
  for (const [path, target] of Object.entries(policy.links))
    if (!tree.get(path) && tree.resolve(linkTarget(path, target)))
      tree.symlink(path, target, 'os/rootfs/policy.yaml');
  tree.file('etc/hostname', `${parts.hostname}\n`, 'the image');
  joinCertificates(tree);
  moveVariableData(tree);
  const owners = makeAccounts(tree, policy, parts.users);
  applyPresets(tree, withLogin(parts));
  for (const [path, text] of Object.entries(policy.modes)) {
    const [mode = '0755', user = 'root', group = 'root'] = text.split(/\s+/);
    tree.own(path, Number.parseInt(mode, 8), user, group);
  }
  checkLibraries(tree, 'arm64');
  parts.judge?.(tree);
  return { tree, owners };
};

/** Composes and seals. Throws what `composeRoot` and mkfs.erofs throw. */
export const buildRoot = async (input: RootInput): Promise<SealedImage> => {
  const { out, name, signal } = input;
  await mkdir(out, { recursive: true });
  input.progress?.(0, 'laying files over the packages');
  const { tree, owners } = await composeRoot(input);
  input.progress?.(0.3, 'writing the file system');
  const image = await sealImage(
    tree.output(owners),
    join(out, 'root.img'),
    sealOptionsOf(name, signal),
    input.base,
  );
  await writeDescription(join(out, 'root.json'), image);
  input.progress?.(1);
  return image;
};

/** How the root of the image `name` is sealed. */
export const sealOptionsOf = (name: string, signal: AbortSignal | undefined): SealOptions => ({
  salt: uuidOf(`salt ${name}`).replaceAll('-', '').repeat(2),
  uuid: uuidOf(`root ${name}`),
  time: sourceDateEpoch,
  label: 'mbl-root',
  signal,
});

/** Mount points, and places that the owner of a device expects. */
const FOLDERS = [
  'factory',
  'config',
  'data',
  'home',
  'mnt',
  'media',
  'opt',
  'srv',
  'usr/local/bin',
  'usr/local/sbin',
];

/** What `login:` means in units. */
const withLogin = ({ services, login }: RootParts): UnitChoice => ({
  ...services,
  enable: [
    ...services.enable,
    ...(login.console === 'getty' ? ['mbl-console.service'] : []),
    ...(login.ssh === 'key' ? ['ssh.socket'] : []),
  ],
});

/** All of ca-certificates' authorities in the one file that TLS libraries read (update-ca-certificates does that elsewhere). */
const joinCertificates = (tree: Tree): void => {
  const certificates = tree
    .entries()
    .filter(
      ({ path, type }) => type === 'file' && /^usr\/(local\/)?share\/ca-certificates\/.+\.crt$/.test(path),
    );
  if (certificates.length === 0) return;
  const text = Buffer.concat(certificates.map(({ data }) => data));
  tree.file('etc/ssl/certs/ca-certificates.crt', text, 'the certificates of the image');
};

const linkTarget = (path: string, target: string): string =>
  target.startsWith('/') ? target.slice(1) : join(path, '..', target);

/**
 * `/var` is the data partition's, empty at first: what packages and folders bring for it moves to `/usr/share/factory/var`, and a
 * tmpfiles.d(5) file has it made at boot where it is missing.
 */
const moveVariableData = (tree: Tree): void => {
  const from = 'the build';
  const lines: string[] = [];
  for (const entry of tree.entries().filter(({ path }) => path.startsWith('var/'))) {
    const { path, type, mode, user, group, link } = entry;
    const octal = mode.toString(8).padStart(4, '0');
    if (type === 'directory') lines.push(`d /${path} ${octal} ${user} ${group} -\n`);
    else if (type === 'symlink') lines.push(`L /${path} - - - - ${link}\n`);
    else {
      tree.lay({ ...entry, path: `usr/share/factory/${path}` });
      lines.push(`C /${path} ${octal} ${user} ${group} - /usr/share/factory/${path}\n`);
    }
  }
  tree.remove('var');
  tree.directory('var', from);
  tree.file('usr/lib/tmpfiles.d/00-var-of-packages.conf', lines.join(''), from);
};

// SPDX-License-Identifier: Apache-2.0
import { maxRollbackIndex } from '@mbl/formats';
import {
  integer,
  list,
  type Located,
  located,
  named,
  names,
  object,
  oneOf,
  optional,
  type PartOf,
  paths,
  type Position,
  recipeError,
  type Shape,
  size,
  text,
  type WholeOf,
} from '@mbl/formats';

/** Debian policy §5.6.7. */
const packages = names(/^[a-z0-9][a-z0-9+.-]{1,127}$/, 'the name of a Debian package', 'package');
const units = list(
  located(
    /^[A-Za-z0-9:_.@\\-]{1,200}\.(service|socket|timer|path|mount|target|automount|swap|slice)$/,
    'the name of a systemd unit with its ending, such as "ssh.service"',
  ),
);
const groups = names(/^[a-z_][a-z0-9_-]{0,30}$/, 'the name of a group', 'group');
const folder = text(/^\/[\x21-\x39\x3b-\x7e]{0,200}$/, 'an absolute path');

type UnitState = 'enable' | 'disable' | 'mask';
type UnitsPart = readonly (Located<string> & { readonly state: UnitState })[];

/** Units by what is to become of them. What a later part says of a unit replaces what an earlier one said. */
export interface Units {
  readonly enable: readonly Located<string>[];
  readonly disable: readonly Located<string>[];
  readonly mask: readonly Located<string>[];
}

const unitLists = object({ enable: optional(units), disable: optional(units), mask: optional(units) });

const services: Shape<UnitsPart, Units> = {
  read(node) {
    const part = unitLists.read(node);
    const states = ['enable', 'disable', 'mask'] as const;
    const all = states.flatMap((state) => (part[state] ?? []).map((unit) => ({ ...unit, state })));
    const seen = new Map<string, UnitState>();
    for (const { value, at, state } of all) {
      const before = seen.get(value);
      if (before !== undefined)
        throw recipeError('formats/bad-recipe', at, `"${value}" stands in "${before}" and in "${state}"`);
      seen.set(value, state);
    }
    return all;
  },
  merge: (base, change) => [...new Map([...base, ...change].map((unit) => [unit.value, unit])).values()],
  complete(part = []) {
    const of = (state: UnitState): Located<string>[] =>
      part.filter((unit) => unit.state === state).map(({ value, at }) => ({ value, at }));
    return { enable: of('enable'), disable: of('disable'), mask: of('mask') };
  },
};

const user = object({
  name: text(/^[a-z_][a-z0-9_-]{0,30}$/, 'a user name (lower case letters, digits, _, -)'),
  id: integer(1, 59_999),
  home: optional(folder),
  shell: optional(folder),
  groups,
});

/** The keys of an image file, in the order that a reader asks. Each is explained in docs/reference/image-file.md. */
export const imageFields = {
  title: text(),
  suite: text(/^[a-z][a-z0-9-]{1,31}$/, 'a Debian suite, such as "trixie"'),
  version: optional(text(/^\d{1,9}(\.\d{1,9}){0,3}$/, 'numbers with dots, such as "2.1"')),
  hostname: text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a host name (lower case letters, digits, -)'),
  packages,
  services,
  users: named(user, 'user'),
  files: paths(),
  kernelArguments: names(/^[\x21-\x7e]{1,200}$/, 'a kernel argument without spaces', 'kernel argument'),
  login: object({ console: oneOf('none', 'getty'), ssh: oneOf('none', 'key') }),
  rollbackIndex: optional(integer(0, maxRollbackIndex)),
  limits: object({ disk: size(), download: size() }),
};

export const imageShape = object(imageFields);
export type ImagePart = PartOf<typeof imageShape>;
export type ImageWhole = WholeOf<typeof imageShape>;

/** A user of the image, beside those that its packages bring. */
export interface ImageUser {
  readonly name: string;
  readonly id: number;
  readonly home: string | undefined;
  readonly shell: string | undefined;
  readonly groups: readonly string[];
}

/** What goes into a root file system. */
export interface Image {
  readonly name: string;
  readonly title: string;
  /** Debian suite. */
  readonly suite: string;
  /** Of the product's operating system; undefined: that of the distribution. */
  readonly version: string | undefined;
  readonly hostname: string;
  /** Names of Debian packages, in the order of the recipes; what they depend on comes with them. */
  readonly packages: readonly string[];
  /** Folders of layers with .deb files, absolute paths; they go before the suite's packages of the same name. */
  readonly packageFolders: readonly string[];
  readonly services: {
    readonly enable: readonly string[];
    readonly disable: readonly string[];
    readonly mask: readonly string[];
  };
  readonly users: readonly ImageUser[];
  /** Folders that are laid over the packages, absolute paths; later ones win. */
  readonly files: readonly string[];
  readonly kernelArguments: readonly string[];
  readonly login: { readonly console: 'none' | 'getty'; readonly ssh: 'none' | 'key' };
  /** A board that has confirmed an operating system of a higher index starts none of a lower one. */
  readonly rollbackIndex: number;
  /** Bytes at most: the root with its hash tree on the disk, and as a zstd download. */
  readonly limits: { readonly disk: number; readonly download: number };
  /** Where a package, a unit or a folder was asked for: for errors about it. Never an input of a task. */
  readonly where: (kind: 'package' | 'unit' | 'files', name: string) => Position | undefined;
}

/** The image that a complete recipe describes. */
export function makeImage(name: string, whole: ImageWhole, packageFolders: readonly string[]): Image {
  const { packages, services, users, files, kernelArguments } = whole;
  const written = {
    package: places(packages),
    unit: places([...services.enable, ...services.disable, ...services.mask]),
    files: places(files),
  };
  return {
    ...whole,
    name,
    rollbackIndex: whole.rollbackIndex ?? 0,
    packages: values(packages),
    packageFolders,
    services: {
      enable: values(services.enable),
      disable: values(services.disable),
      mask: values(services.mask),
    },
    users: users.map((each) => ({ ...each, groups: values(each.groups) })),
    files: values(files),
    kernelArguments: values(kernelArguments),
    where: (kind, wanted) => written[kind].get(wanted),
  };
}

const values = (list: readonly Located<string>[]): string[] => list.map(({ value }) => value);
const places = (list: readonly Located<string>[]): Map<string, Position> =>
  new Map(list.map(({ value, at }) => [value, at]));

// SPDX-License-Identifier: Apache-2.0

/** Programs that belong together: a change of one of their packages makes the tasks run again that use this toolbox, and no other. */
export interface ToolboxContents {
  /** Debian packages; what they depend on comes with them. */
  readonly packages: readonly string[];
  /** What the dependencies would bring and no program here needs. */
  readonly without: readonly string[];
  /** Names that Debian gives a program by its alternatives system, and the program. */
  readonly links: Readonly<Record<string, string>>;
}

export const toolboxNames = ['compile', 'image', 'run'] as const;

export type ToolboxName = (typeof toolboxNames)[number];

/** The Debian suite of all tools. */
export const toolSuite = 'trixie';

const sanitizers = ['asan8', 'hwasan0', 'lsan0', 'tsan2', 'ubsan1', 'itm1', 'quadmath0', 'gprofng0'];

/** Package configuration, documentation and what serves people only. */
const ambient = [
  ...[
    'adduser',
    'base-files',
    'base-passwd',
    'debconf',
    'init-system-helpers',
    'media-types',
    'netbase',
    'sensible-utils',
  ],
  ...['libjs-jquery', 'libjs-sphinxdoc', 'libjs-underscore', 'tzdata', 'login.defs', 'passwd', 'ucf'],
];

/** What each toolbox holds. Nothing of the host is on the search path of a task: what a build calls must be here. */
export const toolboxes: Readonly<Record<ToolboxName, ToolboxContents>> = {
  // Firmware from source. The native compiler makes U-Boot's own build programs, with OpenSSL in one of them.
  compile: {
    packages: [
      ...['gcc-aarch64-linux-gnu', 'gcc', 'libc6-dev', 'libssl-dev', 'make', 'bison', 'flex', 'xxd'],
      ...['device-tree-compiler', 'python3', 'python3-cryptography', 'python3-pyelftools'],
      ...['dpkg-dev', 'patch', 'perl', 'tar', 'xz-utils', 'gzip', 'bzip2'],
      ...['bash', 'coreutils', 'dash', 'diffutils', 'findutils', 'gawk', 'grep', 'sed'],
    ],
    without: [
      ...ambient,
      ...sanitizers.flatMap((name) => [`lib${name}`, `lib${name}-arm64-cross`]),
      ...['libc6-arm64-cross', 'libstdc++6-arm64-cross', 'python3-bcrypt', 'readline-common'],
    ],
    links: { awk: 'gawk', cc: 'gcc' },
  },
  // Everything that packs: file systems, device trees, kernel modules, the FIT, the disk.
  image: {
    packages: [
      ...['apparmor', 'binutils-aarch64-linux-gnu', 'device-tree-compiler', 'erofs-utils', 'gdisk', 'kmod'],
      ...['u-boot-tools', 'xz-utils', 'zstd'],
    ],
    without: [...ambient, ...sanitizers.map((name) => `lib${name}`), 'logsave'],
    links: {},
  },
  // What the workbench starts beside the build: virtual boards, and the database.
  run: {
    packages: ['erofs-utils', 'postgresql-17', 'qemu-system-arm'],
    without: [
      ...ambient,
      // PostgreSQL compiles no queries here, and its tools in Perl are not used.
      ...[
        'libllvm19',
        'libz3-4',
        'libedit2',
        'postgresql-common',
        'postgresql-common-dev',
        'ssl-cert',
        'locales',
      ],
      ...[
        'postgresql-client-common',
        'perl',
        'perl-modules-5.40',
        'libperl5.40',
        'perl-base',
        'libjson-perl',
      ],
      ...[
        'libipc-run-perl',
        'libio-pty-perl',
        'libtext-charwidth-perl',
        'libtext-wrapi18n-perl',
        'libc-l10n',
      ],
      ...['libpam-modules', 'libpam-modules-bin', 'openssl', 'procps', 'libproc2-0', 'sysvinit-utils'],
    ],
    links: {},
  },
};

// SPDX-License-Identifier: Apache-2.0

/** The Debian package of each program that a build runs. `os/host-packages.txt` has them, beside apt, which brings them. */
export const toolPackages: Readonly<Record<string, string>> = {
  'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
  'aarch64-linux-gnu-strip': 'gcc-aarch64-linux-gnu',
  'apt-get': 'apt',
  bison: 'bison',
  'dpkg-source': 'dpkg-dev',
  dtc: 'device-tree-compiler',
  fdtget: 'device-tree-compiler',
  flex: 'flex',
  gcc: 'gcc',
  gpgv: 'gpgv',
  make: 'make',
  mkimage: 'u-boot-tools',
  mke2fs: 'e2fsprogs',
  'mkfs.erofs': 'erofs-utils',
  sgdisk: 'gdisk',
  xz: 'xz-utils',
  zstd: 'zstd',
};

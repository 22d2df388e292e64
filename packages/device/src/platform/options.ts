// SPDX-License-Identifier: Apache-2.0

/** Where `mbl-platformd` finds what it tells, and leaves what it orders. */
export interface SystemOptions {
  /** Where `/proc` and `/sys` are. */
  readonly root: string;
  /** Making this file restarts the board: `mbl-reboot.path` waits for it. */
  readonly rebootFile: string;
  /** How the board was started: lines like `slot=a`, written by the initramfs. */
  readonly bootFile: string;
  /** What the kernel before this one said as it died, a line, written by the initramfs; absent where none did. */
  readonly panicFile: string;
  /** Root's word for an order at the board, given while the device was not registered: the name of the release. */
  readonly orderFile: string;
  /** A file for each incident, written by the storage unit: `<kind>-<8 hex>`, one line of detail. */
  readonly incidents: string;
  /** Folder of the partitions of the slots and of the boot state, by their names. */
  readonly disk: string;
  /** Folder of what is known of updates. */
  readonly update: string;
  /** What the running image says of itself. */
  readonly imageFile: string;
  /** Folder of what lasts of apps: `incoming`, `orders`, `installed`. */
  readonly apps: string;
  /** Folder of what the app manager says of them. */
  readonly appsSaid: string;
  /** Folder where the app manager looks for orders: the file `apps`, which is touched, and the folder `asks`. */
  readonly appsAsked: string;
}

export const defaultSystem: SystemOptions = {
  root: '/',
  rebootFile: '/run/mbl-platformd/reboot',
  bootFile: '/run/mbl/boot',
  panicFile: '/run/mbl/panic',
  orderFile: '/run/mbl/ordered',
  incidents: '/config/incidents',
  disk: '/run/mbl/slots',
  update: '/config/update',
  imageFile: '/etc/mbl/image.json',
  apps: '/data/apps',
  appsSaid: '/run/mbl/apps',
  appsAsked: '/run/mbl-platformd',
};

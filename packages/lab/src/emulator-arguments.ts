// SPDX-License-Identifier: Apache-2.0
import type { BoardImage } from './image.ts';

/** A port of the guest that is reachable at 127.0.0.1; host port 0 lets the host choose. */
export interface PortForward {
  readonly guest: number;
  readonly host: number;
}

/** What the clock of a board's hardware says at power-on: the host's time, or the start of a year. */
export type BoardClock = 'host' | '1970' | '2099';

/**
 * A disk beside the board's own: a raw image, or a folder that the guest sees as a stick with this label (one FAT partition, read-only); and
 * what `-device` says of it, such as `virtio-blk-device,bus=virtio-mmio-bus.25`.
 */
export type ExtraDisk = { readonly device: string } & (
  | { readonly file: string }
  | { readonly folder: string; readonly label: string }
);

export interface EmulatorSettings {
  readonly flash: string;
  readonly disk: string;
  /** The recorder's socket, which then serves flash and disk; absent: the emulator opens the files itself. */
  readonly recorder?: string | undefined;
  /** Folder of the sockets: `qmp`, `uart0` (normal world), `uart1` (secure world). Short: a socket's path has at most 107 bytes. */
  readonly runDirectory: string;
  readonly forwards: readonly PortForward[];
  readonly disks?: readonly ExtraDisk[] | undefined;
  /** What the board's clock shows at power-on. */
  readonly clock: BoardClock;
}

/**
 * QEMU's command line: what the image says of its machine, then what a board adds. The CPUs wait (-S) until the control socket says
 * `cont`, so that nothing happens before the logs are open.
 */
export function emulatorArguments(image: BoardImage, settings: EmulatorSettings): string[] {
  const { runDirectory } = settings;
  const blocks = blockNodes(settings);
  const extra = (settings.disks ?? []).flatMap((disk, index) => [
    ...['-blockdev', JSON.stringify(extraNode(disk, `extra${index}`))],
    ...['-device', `${disk.device},drive=extra${index}`],
  ]);
  const forwards = settings.forwards.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
  const consoles: string[] = [];
  consoles[image.emulator.serialConsole] = 'uart0';
  consoles[image.emulator.secureConsole] = 'uart1';
  return [
    ...image.emulator.args,
    ...['-machine', 'pflash0=board-flash'],
    ...['-S', '-nodefaults', '-display', 'none', '-monitor', 'none'],
    ...['-qmp', `unix:${runDirectory}/qmp,server=on,wait=off`],
    ...blocks.flatMap((block) => ['-blockdev', JSON.stringify(block)]),
    ...['-device', `${image.emulator.disk},drive=board-disk,id=disk0`],
    ...extra,
    ...['-netdev', `user,id=network,hostname=mbl${forwards.join('')}`],
    ...['-device', 'virtio-net-device,netdev=network,id=network0'],
    ...['-device', 'virtio-rng-device'],
    ...['-chardev', `socket,id=uart0,path=${runDirectory}/uart0,server=off`],
    ...['-chardev', `socket,id=uart1,path=${runDirectory}/uart1,server=off`],
    ...consoles.flatMap((id) => ['-serial', `chardev:${id}`]),
    ...(settings.clock === 'host' ? [] : ['-rtc', `base=${settings.clock}-01-01T00:00:00,clock=vm`]),
  ];
}

function extraNode(disk: ExtraDisk, name: string): Record<string, unknown> {
  if ('file' in disk)
    return { driver: 'raw', 'node-name': name, file: { driver: 'file', filename: disk.file } };
  return { driver: 'vvfat', 'node-name': name, 'read-only': true, dir: disk.folder, label: disk.label };
}

/**
 * The nodes `board-disk` and `board-flash` and what is below them. The flash is as on a board: the guest's secure world writes to it, and a
 * reset leaves it as it is.
 */
function blockNodes({ disk, flash, recorder }: EmulatorSettings): Record<string, unknown>[] {
  const diskNode = { 'node-name': 'board-disk', discard: 'unmap' };
  const flashNode = { 'node-name': 'board-flash' };
  if (recorder !== undefined) {
    const server = { type: 'unix', path: recorder };
    return [
      { ...diskNode, driver: 'nbd', server, export: 'disk' },
      { ...flashNode, driver: 'nbd', server, export: 'flash' },
    ];
  }
  return [
    { driver: 'file', 'node-name': 'disk-file', filename: disk, discard: 'unmap' },
    { ...diskNode, driver: 'raw', file: 'disk-file' },
    { driver: 'file', 'node-name': 'flash-file', filename: flash },
    { ...flashNode, driver: 'raw', file: 'flash-file' },
  ];
}

// SPDX-License-Identifier: Apache-2.0
import type { BoardImage } from './image.ts';

/** A port of the guest that is reachable at 127.0.0.1; host port 0 lets the host choose. */
export interface PortForward {
  readonly guest: number;
  readonly host: number;
}

/** What the clock of a board's hardware says at power-on: the host's time, or the start of a year. */
export type BoardClock = 'host' | '1970' | '2099';

/** A disk beside the board's own: a raw image, and what `-device` says of it, such as `virtio-blk-device,bus=virtio-mmio-bus.25`. */
export interface ExtraDisk {
  readonly file: string;
  readonly device: string;
}

export interface EmulatorSettings {
  readonly flash: string;
  readonly disk: string;
  /** Where to log writes in the dm-log-writes format; absent: no log. */
  readonly writeLog?: string | undefined;
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
  const disk = { driver: 'raw', 'node-name': 'board-disk', discard: 'unmap', file: 'disk-file' };
  const blocks: Record<string, unknown>[] = [
    { driver: 'file', 'node-name': 'disk-file', filename: settings.disk, discard: 'unmap' },
    disk,
  ];
  if (settings.writeLog !== undefined) {
    disk['node-name'] = 'plain-disk';
    blocks.push(
      { driver: 'file', 'node-name': 'log-file', filename: settings.writeLog },
      {
        driver: 'blklogwrites',
        'node-name': 'board-disk',
        file: 'plain-disk',
        log: 'log-file',
        // The count of entries is then always true, also at a kill.
        'log-super-update-interval': 1,
      },
    );
  }
  const extra = (settings.disks ?? []).flatMap(({ file, device }, index) => [
    ...[
      '-blockdev',
      JSON.stringify({
        driver: 'raw',
        'node-name': `extra${index}`,
        file: { driver: 'file', filename: file },
      }),
    ],
    ...['-device', `${device},drive=extra${index}`],
  ]);
  const forwards = settings.forwards.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
  const consoles: string[] = [];
  consoles[image.emulator.serialConsole] = 'uart0';
  consoles[image.emulator.secureConsole] = 'uart1';
  // The flash as it is on a board: the guest's secure world writes to it, and a reset leaves it as it is.
  blocks.push(
    { driver: 'file', 'node-name': 'flash-file', filename: settings.flash },
    { driver: 'raw', 'node-name': 'board-flash', file: 'flash-file' },
  );
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

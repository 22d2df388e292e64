// SPDX-License-Identifier: Apache-2.0
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatImage, type ImageDescription } from '@mbl/formats';
import { runCommand } from '../processes.ts';

/**
 * Firmware of a few dozen instructions for QEMU's `virt`: says "guest ready", then echoes what is typed, with keys of its own:
 * `T` prints the real-time clock's seconds as 16 hex digits, `O` switches off by PSCI, `W` spins without listening, `F` programs a word of the
 * flash.
 */
const source = `
.section .text
.global _start
_start:
  ldr x20, =0x09000000      // PL011
  adr x0, banner
  bl print
loop:
  ldr w1, [x20, #0x18]      // UARTFR
  tbnz w1, #4, loop         // RXFE
  ldr w2, [x20]
  and w2, w2, #0xff
  cmp w2, #'T'
  b.eq clock
  cmp w2, #'O'
  b.eq off
  cmp w2, #'W'
  b.eq .
  cmp w2, #'F'
  b.eq flash
  bl put
  cmp w2, #10
  b.ne loop
  b loop
clock:
  ldr x3, =0x09010000       // PL031
  ldr w4, [x3]
  mov x5, #60
hex:
  lsr x2, x4, x5
  and x2, x2, #15
  add w2, w2, #'0'
  cmp w2, #'9'
  b.ls digit
  add w2, w2, #39
digit:
  bl put
  subs x5, x5, #4
  b.ge hex
  mov w2, #10
  bl put
  b loop
flash:                      // from RAM: while it takes commands, no code can be read from it
  adr x3, program
  mov x4, #0x40000000
  ldp x5, x6, [x3]
  ldp x7, x8, [x3, #16]
  ldp x9, x10, [x3, #32]
  stp x5, x6, [x4]
  stp x7, x8, [x4, #16]
  stp x9, x10, [x4, #32]
  blr x4
  bl put
  b loop
.balign 16
program:                    // Intel's commands, for two chips of 16 bits side by side: program a word, its value, read again
  mov x3, #0x100000
  mov w4, #0x40
  movk w4, #0x40, lsl #16
  str w4, [x3]
  mov w4, #0x424d           // MBL!
  movk w4, #0x214c, lsl #16
  str w4, [x3]
  mov w4, #0xff
  movk w4, #0xff, lsl #16
  str w4, [x3]
  ret
off:
  ldr w0, =0x84000008       // PSCI SYSTEM_OFF
  hvc #0
  b .
put:
  ldr w6, [x20, #0x18]
  tbnz w6, #5, put          // TXFF
  str w2, [x20]
  ret
print:
  mov x7, x30
next:
  ldrb w2, [x0], #1
  cbz w2, done
  bl put
  b next
done:
  mov x30, x7
  ret
banner: .asciz "guest ready\\n"
`;

const megabyte = 1024 * 1024;
const none = '0'.repeat(64);

/** The layout of the bare build's disk: small, with every partition name of a real one. */
export const barePartitions = [
  { name: 'boot_a', offset: megabyte, size: megabyte },
  { name: 'root_a', offset: 2 * megabyte, size: megabyte },
  { name: 'factory', offset: 3 * megabyte, size: megabyte },
  { name: 'data', offset: 4 * megabyte, size: 2 * megabyte },
];

/** Makes a build folder around the bare guest. */
export async function makeBareBuild(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const at = (name: string): string => join(directory, name);
  await writeFile(at('guest.s'), source);
  await tool('aarch64-linux-gnu-as', ['-o', at('guest.o'), at('guest.s')]);
  // The flash of a machine without secure=on lies at 0 and runs there.
  await tool('aarch64-linux-gnu-ld', ['-Ttext=0', '-o', at('guest.elf'), at('guest.o')]);
  await tool('aarch64-linux-gnu-objcopy', ['-O', 'binary', at('guest.elf'), at('flash.bin')]);
  // QEMU takes no flash of another size.
  const flashSize = 64 * megabyte;
  await truncate(at('flash.bin'), flashSize);
  const disk = Buffer.alloc(6 * megabyte);
  for (const { name, offset } of barePartitions) disk.write(`first bytes of ${name}`, offset);
  disk.write('verity\0\0', 2 * megabyte + 65536, 'latin1');
  await writeFile(at('disk.img'), disk);
  const image: ImageDescription = {
    version: 1,
    machine: 'bare',
    image: 'development',
    buildId: '0123456789abcdef',
    keys: 'development',
    components: {
      'boot-firmware': { version: '1', sha256: none },
      kernel: { version: '1', sha256: none },
      root: { version: '1', rootHash: none },
    },
    flash: {
      file: 'flash.bin',
      size: flashSize,
      parts: { bl1: { offset: 0, size: 16 }, bl2: { offset: 16, size: 32 } },
    },
    disk: { file: 'disk.img', size: disk.length, sectorSize: 512, partitions: barePartitions },
    fit: { parts: { kernel: { offset: 4096, size: 8192 }, fdt: { offset: 16384, size: 100 } } },
    root: { dataSize: 65536, hashOffset: 65536, rootHash: none },
    emulator: {
      binary: 'qemu-system-aarch64',
      args: ['-machine', 'virt', '-cpu', 'cortex-a57', '-m', '64'],
      disk: 'virtio-blk-device',
      serialConsole: 0,
      secureConsole: 1,
    },
  };
  await writeFile(at('image.json'), formatImage(image));
  return directory;
}

async function tool(command: string, args: string[]): Promise<void> {
  const result = await runCommand(command, args, { debianPackage: 'gcc-aarch64-linux-gnu' });
  if (result.code !== 0) throw new Error(result.stderr);
}

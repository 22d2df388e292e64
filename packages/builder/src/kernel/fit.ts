// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type KeyRef, MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';

/** The images of a FIT, as files. */
export interface FitImages {
  /** gzip of the kernel's Image. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly fdt: string;
}

/** Where U-Boot puts the kernel: 2 MiB aligned, clear of OP-TEE's window and of the FIT. */
const kernelAddress = '0x44000000';

/**
 * A FIT with one configuration whose signature covers kernel, initramfs and device tree (U-Boot `doc/usage/fit/signature.rst`), made and
 * signed by mkimage. Without `key` it is not signed, and no MBL device boots it.
 */
export async function buildFit(
  work: string,
  images: FitImages,
  key: KeyRef | undefined,
  out: string,
): Promise<void> {
  const source = join(work, 'image.its');
  await writeFile(source, imageTreeSource(images, key?.algorithm));
  const signing = key === undefined ? { args: [], env: {} } : signingArguments(key);
  await runCommand('mkimage', ['-q', '-f', source, ...signing.args, out], { env: signing.env });
  // mkimage leaves the node empty and ends well when it cannot sign.
  if (key !== undefined && !(await readFile(out)).includes('signer-version'))
    throw new MblError('builder/fit-unsigned', `mkimage did not sign the FIT with the key "${key.name}"`, {
      remedy: 'Check the key with `mbl keys show`.',
    });
}

function imageTreeSource(images: FitImages, algorithm: string | undefined): string {
  const image = (name: string, file: string, properties: string): string => `
    ${name} {
      description = "${name}";
      data = /incbin/("${file}");
      ${properties}
      hash-1 { algo = "sha256"; };
    };`;
  const signature =
    algorithm === undefined
      ? ''
      : `signature-1 { algo = "sha256,${algorithm.replace('-', '')}"; key-name-hint = "fit"; sign-images = "kernel", "ramdisk", "fdt"; };`;
  const common = 'arch = "arm64"; os = "linux";';
  return `/dts-v1/;
/ {
  description = "MBL";
  #address-cells = <1>;
  images {${image('kernel', images.kernel, `type = "kernel"; ${common} compression = "gzip"; load = <${kernelAddress}>; entry = <${kernelAddress}>;`)}
${image('initramfs', images.initramfs, `type = "ramdisk"; ${common} compression = "none";`)}
${image('fdt', images.fdt, 'type = "flat_dt"; arch = "arm64"; compression = "none";')}
  };
  configurations {
    default = "mbl";
    mbl { description = "MBL"; kernel = "kernel"; ramdisk = "initramfs"; fdt = "fdt"; ${signature} };
  };
};
`;
}

/** mkimage finds a key by the FIT's hint ("fit"): `fit.key` and `fit.crt` in a folder, or an object of a token through the engine. */
function signingArguments(key: KeyRef): { args: string[]; env: Record<string, string> } {
  if ('file' in key.place) return { args: ['-k', dirname(key.place.file), '-r'], env: {} };
  const { pkcs11, module } = key.place;
  const pin = process.env['MBL_PKCS11_PIN'];
  return {
    args: ['-N', 'pkcs11', '-k', pkcs11, '-r'],
    env: { PKCS11_MODULE_PATH: module, ...(pin === undefined ? {} : { MKIMAGE_SIGN_PIN: pin }) },
  };
}

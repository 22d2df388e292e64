// SPDX-License-Identifier: Apache-2.0
import { constants, generateKeyPair, publicDecrypt } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type KeyRef, MblError } from '@mbl/trust';
import { runCommand } from '../engine/run-command.ts';

/** The images of a FIT, as files, and what its signature says beside them. */
export interface FitImages {
  /** gzip of the kernel's Image. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly fdt: string;
  /** U-Boot starts none below the one that was confirmed; under the signature. Default 0. */
  readonly rollbackIndex?: number;
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
  if (key === undefined) await runCommand('mkimage', ['-q', '-f', source, out]);
  else if ('file' in key.place) await signWithFile(source, key.place.file, out);
  else await signWithToken(work, source, key, out);
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
    mbl { description = "MBL"; kernel = "kernel"; ramdisk = "initramfs"; fdt = "fdt"; rollback-index = <${images.rollbackIndex ?? 0}>; ${signature} };
  };
};
`;
}

/** Signs with mkimage, which finds a key by the FIT's hint: `fit.key` in the key's folder. */
async function signWithFile(source: string, keyFile: string, out: string): Promise<void> {
  await runCommand('mkimage', ['-q', '-f', source, '-k', dirname(keyFile), '-r', out]);
  // mkimage leaves the node empty and ends well when it cannot sign.
  if (!(await readFile(out)).includes('signer-version'))
    throw new MblError('builder/fit-unsigned', `mkimage did not sign the FIT with the key ${keyFile}`, {
      remedy: 'Check the key with `mbl keys show`.',
    });
}

/**
 * mkimage reaches tokens only through an OpenSSL engine that not every system has. So it signs with a key made for this once, which
 * says what it hashed: an RSA signature opens to the digest (RFC 8017 §9.2). The token signs that digest.
 */
async function signWithToken(work: string, source: string, key: KeyRef, out: string): Promise<void> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: Number(key.algorithm.replace('rsa-', '')),
  });
  const once = join(work, 'once');
  await mkdir(once, { mode: 0o700 });
  const keyFile = join(once, 'fit.key');
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await signWithFile(source, keyFile, out);
  const node = ['/configurations/mbl/signature-1', 'value'];
  const printed = await runCommand('fdtget', ['-t', 'bx', out, ...node], { capture: true });
  const value = Buffer.from(
    printed
      .toString()
      .trim()
      .split(/\s+/)
      .map((byte) => Number.parseInt(byte, 16)),
  );
  const digest = publicDecrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, value).subarray(-32);
  const signature = await key.signDigest?.(digest);
  if (signature?.length !== value.length)
    throw new MblError('builder/fit-unsigned', `the key "${key.name}" did not sign the FIT`, {
      remedy: 'Check the key with `mbl keys show`: it must be an RSA key.',
    });
  const fit = await readFile(out);
  signature.copy(fit, fit.indexOf(value));
  await writeFile(out, fit);
}

// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatImage, readImage } from '@mbl/formats';

/** Makes `folder` a built image like the one in `built`, with another boot firmware in bank A. */
export async function imageWithFirmware(
  built: string,
  folder: string,
  { version, fip }: { readonly version: string; readonly fip: Uint8Array },
): Promise<void> {
  const image = await readImage(built);
  const bank = image?.flash.parts['bank_a'];
  if (image === undefined || bank === undefined) throw new Error(`no image with banks in ${built}`);
  await mkdir(folder);
  await symlink(join(built, image.disk.file), join(folder, image.disk.file));
  await copyFile(join(built, 'packages.cdx.json'), join(folder, 'packages.cdx.json'));
  const flash = await readFile(join(built, image.flash.file));
  flash.fill(0xff, bank.offset, bank.offset + bank.size).set(fip, bank.offset);
  await writeFile(join(folder, image.flash.file), flash);
  const sha256 = createHash('sha256').update(flash).digest('hex');
  const components = { ...image.components, 'boot-firmware': { version, sha256 } };
  await writeFile(join(folder, 'image.json'), formatImage({ ...image, components }));
}

// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { readBounded } from '../common/files.ts';
import { readJson } from '../common/json.ts';

/** The components of an image, in the order of their object 14 instances. */
export const componentNames = ['boot-firmware', 'kernel', 'root'] as const;

export type ComponentName = (typeof componentNames)[number];

/** What the device tells of its image. */
export interface ImageDescription {
  readonly machine: string;
  readonly image: string;
  readonly buildId: string;
  readonly versions: Readonly<Record<ComponentName, string>>;
}

const maxImageBytes = 1024 * 1024;

/** Reads the image's self-description. Throws `device/no-image` or `device/bad-image`. */
export async function loadImage(path: string): Promise<ImageDescription> {
  const text = await readBounded(path, maxImageBytes);
  if (text === undefined)
    throw new MblError('device/no-image', `the image does not describe itself: no ${path}`);
  return parseImage(text, path);
}

/** `path` is for messages. Throws `device/bad-image`. */
export function parseImage(text: string, path: string): ImageDescription {
  const json = readJson(text, path, 'device/bad-image');
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const components = json.object('components');
  const version = (name: ComponentName) => components.object(name).string('version');
  return {
    machine: json.string('machine'),
    image: json.string('image'),
    buildId: json.string('buildId'),
    versions: { 'boot-firmware': version('boot-firmware'), kernel: version('kernel'), root: version('root') },
  };
}

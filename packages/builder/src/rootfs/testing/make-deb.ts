// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PackageFile } from '../unpack.ts';

export interface DebContent {
  readonly name: string;
  /** Text by path; `-> target` makes a link, a path with a slash at its end a folder. */
  readonly files: Readonly<Record<string, string>>;
  /** Octal modes by path. */
  readonly modes?: Readonly<Record<string, number>>;
  readonly scripts?: Readonly<Record<string, string>>;
}

/** A package made by dpkg-deb in `folder`. */
export const makeDeb = (
  folder: string,
  { name, files, modes = {}, scripts = {} }: DebContent,
): PackageFile => {
  const work = join(folder, name);
  mkdirSync(join(work, 'DEBIAN'), { recursive: true });
  const control = `Package: ${name}\nVersion: 1.0-1\nArchitecture: arm64\nMaintainer: A <a@b>\nDescription: test\n`;
  writeFileSync(join(work, 'DEBIAN/control'), control);
  for (const [script, text] of Object.entries(scripts)) {
    writeFileSync(join(work, 'DEBIAN', script), text);
    chmodSync(join(work, 'DEBIAN', script), 0o755);
  }
  for (const [path, text] of Object.entries(files)) {
    const target = join(work, path);
    mkdirSync(path.endsWith('/') ? target : dirname(target), { recursive: true });
    if (text.startsWith('-> ')) symlinkSync(text.slice(3), target);
    else if (!path.endsWith('/')) writeFileSync(target, text, { mode: 0o644 });
  }
  for (const [path, mode] of Object.entries(modes)) chmodSync(join(work, path), mode);
  const file = join(folder, `${name}.deb`);
  // Times after this one are set to it, so that the same content is the same package.
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1' };
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-b', work, file], { stdio: 'pipe', env });
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  return { name, version: '1.0-1', sha256, source: 'origin 1.0', file };
};

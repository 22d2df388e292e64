// SPDX-License-Identifier: Apache-2.0
//
// Images that umoci, skopeo and buildah make, where the machine has them (Debian has all three). What they write is also what the generator in
// testing/images.ts imitates.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildApp } from '../package/build.ts';
import { readApp } from '../recipe/read.ts';
import { elf } from '../testing/tar.ts';
import { buildContainerfile } from './make.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-tools-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8', TZ: 'UTC' };

const missing = (...tools: string[]): string | false => {
  const places = (process.env['PATH'] ?? '').split(':');
  const not = tools.filter((tool) => !places.some((place) => existsSync(join(place, tool))));
  return not.length > 0 && `this machine has no ${not.join(', ')}`;
};

const run = (tool: string, ...args: string[]) => execFileSync(tool, args, { cwd: folder, stdio: 'pipe' });

/** The digest of the file system of an app made of an image. */
async function packaged(image: string): Promise<string> {
  const { app } = readApp('/app.yaml', Buffer.from('name: hello\nversion: "1"\n'));
  const output = join(folder, `package-${image.replaceAll(/\W/g, '-')}`);
  return (await buildApp({ app, source: { image }, output, environment })).app.image.sha256;
}

test('an image of umoci is one app, in each form that skopeo gives it', {
  skip: missing('umoci', 'skopeo'),
}, async () => {
  const image = 'layout:app';
  run('umoci', 'init', '--layout', 'layout');
  run('umoci', 'new', '--image', image);
  run('umoci', 'config', '--image', image, '--architecture', 'arm64', '--config.entrypoint', '/bin/hello');
  for (const [i, change] of ['first', 'second'].entries()) {
    const bundle = `bundle-${i}`;
    run('umoci', 'unpack', '--rootless', '--image', image, bundle);
    const root = join(folder, bundle, 'rootfs');
    mkdirSync(join(root, 'bin'), { recursive: true });
    writeFileSync(join(root, 'bin/hello'), elf(183), { mode: 0o755 });
    rmSync(join(root, 'etc'), { recursive: true, force: true });
    mkdirSync(join(root, 'etc'));
    writeFileSync(join(root, 'etc', change), change);
    run('umoci', 'repack', '--image', image, bundle);
  }
  writeFileSync(join(folder, 'policy'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  const copy = (to: string) => run('skopeo', '--policy', 'policy', 'copy', `oci:${image}`, to);
  copy('docker-archive:docker.tar:app:1');
  copy('oci-archive:oci.tar:app');
  const expected = await packaged(join(folder, 'layout'));
  assert.equal(await packaged(join(folder, 'docker.tar')), expected);
  assert.equal(await packaged(join(folder, 'oci.tar')), expected);
  const files = readFileSync(
    join(folder, `package-${join(folder, 'layout').replaceAll(/\W/g, '-')}`, 'files.txt'),
    'utf8',
  );
  assert.match(files, /"\/etc\/second"/);
  assert.doesNotMatch(files, /"\/etc\/first"/);
});

test('a Containerfile is an app by buildah', { skip: missing('buildah') }, async () => {
  const context = join(folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'hello'), elf(183), { mode: 0o755 });
  writeFileSync(
    join(context, 'Containerfile'),
    'FROM scratch\nCOPY hello /bin/hello\nENTRYPOINT ["/bin/hello"]\n',
  );
  const storage = join(folder, 'storage.conf');
  writeFileSync(
    storage,
    `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/graph"\nrunroot = "${folder}/run"\n`,
  );
  const settings = join(folder, 'home/.config/containers');
  mkdirSync(settings, { recursive: true });
  copyFileSync(join(folder, 'storage.conf'), join(settings, 'storage.conf'));
  writeFileSync(join(settings, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
  const first = mkdtempSync(join(folder, 'scratch-'));
  const user = { ...process.env, HOME: join(folder, 'home'), CONTAINERS_STORAGE_CONF: storage };
  const once = await packaged(
    await buildContainerfile(join(context, 'Containerfile'), { scratch: first, environment: user }),
  );
  const second = mkdtempSync(join(folder, 'scratch-'));
  const again = await packaged(
    await buildContainerfile(join(context, 'Containerfile'), { scratch: second, environment: user }),
  );
  assert.equal(again, once);
});

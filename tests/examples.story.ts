// SPDX-License-Identifier: Apache-2.0
//
// Every example of an app, made as its page says, with nothing but Debian's packages: what comes out is a package that asks for what its app.yaml does.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type AppDescription, parseApp } from '@mbl/formats';
import { makeExample } from './support/apps/example.ts';
import { mblJson, root, temporaryFolder } from './support/mbl.ts';

const run = promisify(execFile);

interface Built {
  readonly app: AppDescription;
  /** Names of Debian's packages in it. */
  readonly packages: readonly string[];
  readonly files: string;
}

describe('examples of apps', { timeout: 1_200_000 }, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  before(async () => {
    folder = await temporaryFolder();
  });
  after(async () => await folder[Symbol.asyncDispose]());

  /** The package of an app whose image or root has been made. */
  async function packaged(source: string): Promise<Built> {
    const output = `${source}-package`;
    await mblJson(['app', 'build', source, '--output', output], { timeout: 240_000 });
    await mblJson(['app', 'inspect', output]);
    const read = async (name: string) => await readFile(join(output, name), 'utf8');
    const bill = JSON.parse(await read('packages.cdx.json')) as { components?: { name: string }[] };
    return {
      app: parseApp(await read('app.json'), output),
      packages: (bill.components ?? []).map(({ name }) => name),
      files: await read('files.txt'),
    };
  }

  test('none is left out here', async () => {
    const folders = await readdir(join(root, 'examples'), { withFileTypes: true });
    const tested = ['apps', 'docker-save', 'product-layer', 'python-dbus', 'thermostat', 'web-server'];
    assert.deepEqual(folders.flatMap((one) => (one.isDirectory() ? one.name : [])).toSorted(), tested);
    const page = await readFile(join(root, 'examples/README.md'), 'utf8');
    for (const name of tested) assert.ok(page.includes(`[${name}](${name})`), name);
  });

  test('a sensor in C', async () => {
    const source = join(folder.path, 'sensor');
    await mblJson(['app', 'new', 'sensor'], { cwd: folder.path });
    await run('make', ['-C', source]);
    const { app } = await packaged(source);
    assert.deepEqual(
      app.resources.map(({ path }) => path),
      ['/3300/0/5700'],
    );
    assert.ok(app.image.size < 2 << 20, `${app.image.size} bytes`);
  });

  test('a web server with a published port', async () => {
    const { app, packages, files } = await packaged(await makeExample('web-server', folder.path));
    assert.deepEqual(app.permissions.ports, [{ name: 'web', port: 8080, protocol: 'tcp', published: 8080 }]);
    assert.deepEqual(packages, ['busybox-static']);
    assert.match(files, /"\/web\/pages\/index\.html"/);
  });

  test('Python with the library of D-Bus', async () => {
    const { app, packages, files } = await packaged(await makeExample('python-dbus', folder.path));
    assert.deepEqual(app.permissions.bus.talk, ['com.mbl.Cloud1']);
    assert.ok(packages.includes('python3-dbus') && packages.includes('libc6'), packages.join());
    assert.match(files, /"\/app\/thermometer\.py"/);
    assert.ok(app.image.size < 40 << 20, `${app.image.size} bytes`);
    await parsed(join(folder.path, 'python-dbus/app'));
  });

  test('two apps of one release', async () => {
    // The same packages as the example before, which have been put together once: here the interpreter will do.
    const [makefile, other] = await Promise.all(
      ['thermostat', 'python-dbus'].map((name) => readFile(join(root, 'examples', name, 'Makefile'), 'utf8')),
    );
    assert.equal(makefile, other);
    const product = await makeExample('thermostat', folder.path, { packages: 'python3-minimal' });
    const [room, heater] = [await packaged(join(product, 'room')), await packaged(join(product, 'heater'))];
    assert.deepEqual(heater.app.after, [room.app.name]);
    assert.notDeepEqual(heater.app.resources, room.app.resources);
    const repository = join(folder.path, 'repository');
    const release = async (...words: string[]) =>
      await mblJson(['release', ...words, '--repository', repository], { timeout: 240_000 });
    const key = join(folder.path, 'team');
    await run('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', `${key}.pem`]);
    await run('openssl', ['pkey', '-in', `${key}.pem`, '-pubout', '-out', `${key}.pub`]);
    await release('sign');
    await release('role', 'thermostat', '--add-key', `${key}.pub`);
    await release('sign');
    const packages = ['room', 'heater'].map((name) => join(product, `${name}-package`));
    await release('create', '1.0', '--team', 'thermostat', '--level', '3', ...packages);
    await release('sign', '--key', `${key}.pem`);
    await release('sign');
    const born = join(root, '.mbl/keys/release-root.json');
    const asked = ['--team', 'thermostat', '--release', '1.0', '--root', born];
    await mblJson(['release', 'verify', repository, ...asked], { timeout: 240_000 });
    await parsed(join(product, 'app'));
  });

  test('an image of docker save, as buildah writes it', async () => {
    const source = await makeExample('docker-save', folder.path);
    const home = join(folder.path, 'home');
    const settings = join(home, '.config/containers');
    await mkdir(settings, { recursive: true });
    const storage = `[storage]\ndriver = "vfs"\ngraphroot = "${home}/graph"\nrunroot = "${home}/run"\n`;
    await writeFile(join(settings, 'storage.conf'), storage);
    await writeFile(join(settings, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    const env = { ...process.env, HOME: home, CONTAINERS_STORAGE_CONF: join(settings, 'storage.conf') };
    const buildah = async (...words: string[]) => await run('buildah', words, { cwd: source, env });
    await buildah('bud', '--platform', 'linux/arm64', '-t', 'clock', '.');
    await buildah('push', 'clock', 'docker-archive:clock.tar:clock:1');
    const { app } = await packaged(source);
    assert.deepEqual([app.command, app.stop.signal], [['/clock'], 'SIGINT']);
    assert.ok(app.environment.includes('INTERVAL=60'));
  });

  /** Python finds no mistake in the form of what is in a folder. */
  async function parsed(place: string): Promise<void> {
    for (const name of await readdir(place))
      await run('python3', ['-c', 'import ast, sys; ast.parse(open(sys.argv[1]).read())', join(place, name)]);
  }
});

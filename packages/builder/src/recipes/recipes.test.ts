// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { MblError } from '@mbl/trust';
import { formatOverride } from './override.ts';
import { loadRecipes, type Recipes } from './recipes.ts';

const repository = resolve(import.meta.dirname, '../../../..');

const machine = `title: A board
architecture: arm64
cpu: cortex-a57
cores: 2
memory: 1 GiB
console: { device: ttyAMA0, baud: 115200 }
flash: { size: 64 MiB, bank-a: 256 KiB, bank-b: 32 MiB, bank-size: 4 MiB, erase-block: 256 KiB }
firmware:
  trusted-firmware: { platform: qemu, options: { A: 1, B: two } }
  optee: { platform: vexpress }
  u-boot: { defconfig: some_defconfig }
device-tree: board.dts
kernel:
  package: linux-image-arm64
  arguments: [net.ifnames=0]
  initramfs-modules: [dm_mod, erofs]
disk: platform/a003000.virtio_mmio
partitions:
  - { name: boot_a, size: 48 MiB, type: reserved }
  - { name: data, size: 1 GiB, type: linux }
`;

const base = `title: Base
suite: trixie
hostname: box
packages:
  - systemd
  - crun
services: { enable: [a.service], mask: [b.service] }
files: [../files]
login: { console: none, ssh: none }
limits: { disk: 130 MB, download: 80 MB }
`;

/** Writes files (by path) into a new folder; a file "files/x" of the distribution is always there. */
async function workbench(t: TestContext, files: Record<string, string> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-recipes-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const all = {
    'os/machines/board.yaml': machine,
    'os/machines/board.dts': '',
    'os/images/base.yaml': base,
    'os/files/x': '',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const load = (folder: string, ...layers: string[]): Promise<Recipes> =>
  loadRecipes({ osDirectory: join(folder, 'os'), layers: layers.map((layer) => join(folder, layer)) });

async function error(act: () => unknown): Promise<MblError> {
  try {
    await act();
  } catch (thrown) {
    assert.ok(thrown instanceof MblError, String(thrown));
    return thrown;
  }
  assert.fail('nothing was thrown');
}

void test('a product has a version of its own, in numbers', async (t) => {
  const folder = await workbench(t, {
    'os/images/product.yaml': 'extends: base\nversion: "2.10"\n',
  });
  const recipes = await load(folder);
  assert.equal(recipes.image('product').version, '2.10');
  assert.equal(recipes.image('base').version, undefined);
  for (const text of ['2.0-rc1', '2.1', '"2.1+5"']) {
    const odd = await workbench(t, { 'os/images/odd.yaml': `extends: base\nversion: ${text}\n` });
    const { message } = await error(() => load(odd));
    assert.match(message, /odd\.yaml:2:10: .*numbers with dots/, text);
  }
});

void test('a machine and an image are read', async (t) => {
  const folder = await workbench(t);
  const recipes = await load(folder);
  const board = recipes.machine('board');
  assert.equal(board.name, 'board');
  assert.equal(board.memory, 2 ** 30);
  assert.equal(board.flash.bankA, 256 * 1024);
  assert.equal(board.deviceTree, join(folder, 'os/machines/board.dts'));
  assert.deepEqual(board.firmware.trustedFirmware.options, { A: '1', B: 'two' });
  assert.deepEqual(board.firmware.optee.options, {});
  assert.deepEqual(board.firmware.uBoot.config, []);
  assert.deepEqual(board.firmware.counters, { trusted: 0, nonTrusted: 0 });
  assert.deepEqual(board.kernel.initramfsModules, ['dm_mod', 'erofs']);
  assert.deepEqual(board.kernel.modules, []);
  assert.deepEqual(board.kernel.arguments, ['console=ttyAMA0,115200', 'net.ifnames=0']);
  assert.equal(board.emulator, undefined);
  assert.deepEqual(board.partitions[0], {
    name: 'boot_a',
    size: 48 * 2 ** 20,
    type: 'reserved',
  });
  const image = recipes.image('base');
  assert.deepEqual(image.packages, ['systemd', 'crun']);
  assert.deepEqual(image.services, { enable: ['a.service'], disable: [], mask: ['b.service'] });
  assert.deepEqual(image.files, [join(folder, 'os/files')]);
  assert.deepEqual(image.limits, { disk: 130e6, download: 80e6 });
  assert.deepEqual(image.where('package', 'crun'), {
    file: join(folder, 'os/images/base.yaml'),
    line: 6,
    column: 5,
  });
});

void test('the counters of a firmware are whole numbers that the flash has room for', async (t) => {
  const folder = await workbench(t);
  const path = join(folder, 'os/machines/board.yaml');
  const text = await readFile(path, 'utf8');
  const firmware = async (counters: string): Promise<void> => {
    assert.match(text, /^firmware:$/m);
    await writeFile(path, text.replace(/^firmware:$/m, `firmware:\n  counters: ${counters}`));
  };
  await firmware('{ trusted: 2, non-trusted: 1024 }');
  const board = (await load(folder)).machine('board');
  assert.deepEqual(board.firmware.counters, { trusted: 2, nonTrusted: 1024 });
  await firmware('{ trusted: 2, non-trusted: 1025 }');
  const refused = await error(async () => (await load(folder)).machine('board'));
  assert.match(refused.message, /whole number from 0 to 1024, not the number 1025/);
});

void test('an image says only what is other than in the one that it extends', async (t) => {
  const folder = await workbench(t, {
    'os/images/more.yaml': `extends: base
title: More
packages: { add: [strace], remove: [crun] }
services: { enable: [b.service, c.service], disable: [a.service] }
users: [{ name: me, id: 1000, groups: [dialout] }]
files: [../files/x]
login: { console: getty }
limits: { disk: 1 GB }
`,
    'os/images/most.yaml': 'extends: more\npackages: [crun]\nusers: [{ name: me, id: 1001 }]\n',
  });
  const recipes = await load(folder);
  const more = recipes.image('more');
  assert.deepEqual(more.packages, ['systemd', 'strace']);
  assert.deepEqual(more.services, {
    enable: ['b.service', 'c.service'],
    disable: ['a.service'],
    mask: [],
  });
  assert.deepEqual(more.files, [join(folder, 'os/files'), join(folder, 'os/files/x')]);
  assert.deepEqual(more.login, { console: 'getty', ssh: 'none' });
  assert.deepEqual(more.limits, { disk: 1e9, download: 80e6 });
  assert.equal(more.suite, 'trixie');
  const most = recipes.image('most');
  assert.deepEqual(most.packages, ['systemd', 'strace', 'crun']);
  assert.deepEqual(most.users, [
    { name: 'me', id: 1001, home: undefined, shell: undefined, groups: ['dialout'] },
  ]);
  assert.deepEqual(recipes.image('base').packages, ['systemd', 'crun']);
});

void test('layers add and change in their order, and every change is reported', async (t) => {
  const folder = await workbench(t, {
    'one/layer.yaml': `name: one
images: images
packages: debs
change:
  machines:
    board:
      partitions: [{ name: data, size: 2 GiB }, { name: extra, size: 1 MiB, type: linux }]
      kernel: { modules: [can], arguments: [quiet] }
  images:
    base:
      packages: { add: [one], remove: [crun] }
      hostname: first
`,
    'one/images/product.yaml': 'extends: base\ntitle: Product\npackages: [two]\n',
    'one/debs/readme': '',
    'two/layer.yaml': `name: two
change:
  images:
    base: { hostname: second, files: [over] }
    product: { packages: { remove: [one] } }
`,
    'two/over/etc/motd': '',
  });
  const recipes = await load(folder, 'one', 'two');
  assert.deepEqual(recipes.images, ['base', 'product']);
  const board = recipes.machine('board');
  assert.deepEqual(
    board.partitions.map(({ name, size }) => [name, size / 2 ** 20]),
    [
      ['boot_a', 48],
      ['data', 2048],
      ['extra', 1],
    ],
  );
  assert.equal(board.partitions[1]?.type, 'linux');
  assert.equal(board.disk, 'platform/a003000.virtio_mmio');
  const product = recipes.image('product');
  assert.deepEqual(product.packages, ['systemd', 'two']);
  assert.equal(product.hostname, 'second');
  assert.deepEqual(product.packageFolders, [join(folder, 'one/debs')]);
  assert.deepEqual(product.files, [join(folder, 'os/files'), join(folder, 'two/over')]);
  const cut = (text: string): string =>
    text.replace(/ \(.*\/(\w+\/layer.yaml:\d+).*/, ' ($1)').replace(folder, '');
  assert.deepEqual(recipes.overrides('board', 'product').map(formatOverride).map(cut), [
    'layer one: machine board: kernel.arguments + quiet (one/layer.yaml:6)',
    'layer one: machine board: kernel.modules + can (one/layer.yaml:6)',
    'layer one: machine board: partitions.data.size 1 GiB -> 2 GiB (one/layer.yaml:6)',
    'layer one: machine board: partitions + extra (one/layer.yaml:6)',
    'layer one: image base: hostname box -> first (one/layer.yaml:10)',
    'layer one: image base: packages - crun (one/layer.yaml:10)',
    'layer one: image base: packages + one (one/layer.yaml:10)',
    'layer two: image base: hostname first -> second (two/layer.yaml:4)',
    'layer two: image base: files + /two/over (two/layer.yaml:4)',
    'layer two: image product: packages - one (two/layer.yaml:5)',
  ]);
});

void test('a wrong recipe names file, line and column, and the nearest right word', async (t) => {
  const folder = await workbench(t);
  const board = 'os/machines/board.yaml';
  const image = 'os/images/base.yaml';
  const cases: [file: string, from: string, to: string, message: RegExp, remedy?: RegExp][] = [
    [board, 'cores: 2', 'coers: 2', /board.yaml:4:1: "coers" is not a key of the machine/, /"cores"\?/],
    [board, 'cores: 2', '', /board.yaml:1:1: "cores" is missing/, /Add "cores"/],
    [board, 'cores: 2', 'cores: two', /:4:8: "cores" must be a whole number .*not the text "two"/],
    [board, 'memory: 1 GiB', 'memory: 1024', /:5:9: "memory" must be a size .*not the number 1024/, /48 MiB/],
    [board, 'memory: 1 GiB', 'memory: 1 Gib', /:5:9: "memory"/],
    [board, 'memory: 1 GiB', 'memory:', /:5:8: "memory" must be .*not empty/],
    [board, 'arm64\n', 'arm46\n', /"architecture" must be "arm64"/, /"arm64"\?/],
    [board, 'bank-a: 256 KiB', 'bank_a: 256 KiB', /:7:24: "bank_a" is not a key of "flash"/, /"bank-a"/],
    [board, ', bank-a: 256 KiB', '', /:7:8: "flash.bank-a" is missing/],
    [board, 'size: 1 GiB, ', '', /:20:5: "partitions.data.size" is missing/],
    [board, 'name: data, ', '', /:20:5: "name" is missing/],
    [board, 'name: data', 'name: boot_a', /:20:5: .*partition "boot_a" stands here twice/],
    [board, 'type: linux', 'type: linus', /"type" must be .*"linus"/, /"linux"\?/],
    [board, '[dm_mod, erofs]', '[dm_mod, dm_mod]', /"dm_mod" stands here twice/],
    [board, 'board.dts', 'board.dt', /board.yaml:\d+:14: .*board.dt does not exist/, /folder of the file/],
    [board, 'cores: 2', 'cores: 2\ncores: 3', /:5:1: .*unique/i],
    [board, 'cores: 2', 'cores: [2', /board.yaml:\d+:\d+: /],
    [
      board,
      'partitions:',
      'emulator: { binary: qemu-system-aarch64, args: [-smp, "2"], disk: x, serial-console: 0, secure-console: 1 }\npartitions:',
      /"args" must be an argument other than -cpu, -smp and -m.* not the text "-smp"/,
    ],
    [board, 'cores: 2', 'cores: &x 2', /:4:\d+: anchors/],
    [
      image,
      '  - crun',
      '  - crun\n  - 7zip\n  - 7',
      /base.yaml:8:5: an entry of "packages" must be .*number 7/,
      /quotes/,
    ],
    [image, '  - crun', '  - Crun', /base.yaml:6:5: .*name of a Debian package, not the text "Crun"/],
    [image, 'mask: [b.service]', 'mask: [a.service]', /"a.service" stands in "enable" and in "mask"/],
    [image, 'a.service', 'a', /systemd unit with its ending/],
    [image, 'title: Base', 'extends: bas', /base.yaml:1:10: no image is called "bas"/, /"base"\?/],
    [image, 'title: Base', 'extends: base', /a circle: base extends base/],
    [image, 'packages:\n', 'packages:\n  add: [xz]\n  lose:\n', /"lose" is not a key of "packages"/],
  ];
  for (const [file, from, to, message, remedy] of cases) {
    const original = file === board ? machine : base;
    assert.ok(original.includes(from), from);
    await writeFile(join(folder, file), original.replace(from, to));
    const thrown = await error(async () => {
      const recipes = await load(folder);
      recipes.machine('board');
      recipes.image('base');
    });
    assert.match(thrown.message, message);
    assert.ok(thrown.remedy);
    if (remedy !== undefined) assert.match(thrown.remedy, remedy);
    assert.equal(typeof thrown.details?.['line'], 'number');
    await writeFile(join(folder, file), original);
  }
});

void test('an unknown machine or image lists those that exist', async (t) => {
  const recipes = await load(await workbench(t));
  const unknown = await error(() => recipes.machine('boart'));
  assert.equal(unknown.code, 'builder/unknown-machine');
  assert.match(unknown.remedy ?? '', /Did you mean "board"\? The machines here: board\./);
  assert.equal((await error(() => recipes.image('x'))).code, 'builder/unknown-image');
});

void test('a wrong layer names its file and line', async (t) => {
  const folder = await workbench(t, {
    'images/layer.yaml': 'name: a\nchange:\n  images:\n    bass: { hostname: x }\n',
    'remove/layer.yaml': 'name: b\nchange:\n  images:\n    base:\n      packages:\n        remove: [crum]\n',
    'files/layer.yaml': 'name: c\nchange:\n  images:\n    base: { files: [nothing] }\n',
    'twice/layer.yaml': 'name: d\nimages: images\n',
    'twice/images/base.yaml': base,
    'same/layer.yaml': 'name: d\n',
    'bad/layer.yaml': 'name: e\nimages: img\nimgs: x\n',
    'name/layer.yaml': 'name: f\nimages: .\n',
    'empty/layer.yaml': '',
  });
  const refuse = async (code: string, message: RegExp, ...layers: string[]): Promise<void> => {
    const thrown = await error(async () => (await load(folder, ...layers)).image('base'));
    assert.equal(thrown.code, code, thrown.message);
    assert.match(`${thrown.message} ${thrown.remedy}`, message);
  };
  await refuse(
    'builder/unknown-image',
    /images\/layer.yaml:4:5: no image is called "bass".*"base"\?/,
    'images',
  );
  await refuse('formats/bad-recipe', /remove\/layer.yaml:6:18: the package "crum".*"crun"\?/, 'remove');
  await refuse('builder/missing-file', /files\/layer.yaml:4:21: .*nothing does not exist/, 'files');
  await refuse(
    'formats/bad-recipe',
    /twice\/images\/base.yaml:1:1: .*is there already, in .*os\/images/,
    'twice',
  );
  await refuse('formats/bad-recipe', /twice and .*same are both called "d"/, 'twice', 'same');
  await refuse('formats/bad-recipe', /bad\/layer.yaml:3:1: "imgs" is not a key/, 'bad');
  await refuse(
    'formats/bad-recipe',
    /empty\/layer.yaml:1:1: the layer must be a mapping, not empty/,
    'empty',
  );
  await refuse('builder/missing-layer', /nowhere is not a layer/, 'nowhere');
  await refuse('formats/bad-recipe', /name\/layer.yaml:1:1: "name" is not a key of the image/, 'name');
});

void test('a layer need not give its folder for images when it has none', async (t) => {
  const folder = await workbench(t, { 'small/layer.yaml': 'name: small\n' });
  const recipes = await load(folder, 'small');
  assert.deepEqual(recipes.overrides('board', 'base'), []);
  assert.equal(recipes.layers[0]?.name, 'small');
});

void test("the repository's own recipes and its example layer can be built", async (t) => {
  const recipes = await loadRecipes({ osDirectory: join(repository, 'os') });
  assert.ok(recipes.machines.includes('qemu-arm64'));
  assert.ok(recipes.images.includes('development'));
  for (const name of recipes.machines) {
    const names = recipes.machine(name).partitions.map((each) => each.name);
    assert.deepEqual(
      names,
      ['state', 'boot_a', 'boot_b', 'root_a', 'root_b', 'factory', 'config', 'data'],
      name,
    );
  }
  for (const name of recipes.images) recipes.image(name);
  assert.deepEqual(recipes.image('production').login, { console: 'none', ssh: 'none' });

  // Copied away: a product's layer does not live in the repository.
  const away = await mkdtemp(join(tmpdir(), 'mbl-layer-'));
  t.after(() => rm(away, { recursive: true }));
  await cp(join(repository, 'examples/product-layer'), away, { recursive: true });
  const product = await loadRecipes({ osDirectory: join(repository, 'os'), layers: [away] });
  const image = product.image('product');
  assert.notEqual(image.hostname, product.image('production').hostname);
  assert.ok(image.packages.length > product.image('production').packages.length);
  const changed = product.overrides('qemu-arm64', 'product').map(({ key }) => key);
  assert.ok(changed.includes('partitions.data.size'), changed.join());
});

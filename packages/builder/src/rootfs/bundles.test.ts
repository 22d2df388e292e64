// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { CodeFinder } from '../engine/code.ts';
import { BUNDLED_COMPONENTS, bundleService, bundleServices, SERVICES } from './bundles.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-bundles-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};

test('a service becomes one file that runs alone; what it is made of is listed', async () => {
  write(
    'node_modules/@a/b/package.json',
    '{"name":"@a/b","version":"1.2.3","license":"MIT","main":"i.cjs","repository":"a/b"}',
  );
  write('node_modules/@a/b/i.cjs', "exports.os = () => require('node:os').EOL.length;");
  write('node_modules/unused/package.json', '{"name":"unused","version":"1.0.0","type":"module"}');
  write('node_modules/unused/index.js', 'export const nothing = 1;');
  const integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
  write('package-lock.json', JSON.stringify({ packages: { 'node_modules/@a/b': { integrity } } }));
  write(
    SERVICES.platformd,
    "import { os } from '@a/b'; const greet: string = 'hi'; console.log(greet, os());",
  );
  const files = await bundleServices(folder);
  assert.deepEqual([...files.keys()], ['usr/lib/mbl/platformd.mjs', BUNDLED_COMPONENTS]);
  write('alone/x.mjs', files.get('usr/lib/mbl/platformd.mjs')?.toString() ?? '');
  assert.equal(execFileSync(process.execPath, [join(folder, 'alone/x.mjs')]).toString(), 'hi 1\n');
  assert.deepEqual(JSON.parse(files.get(BUNDLED_COMPONENTS)?.toString() ?? ''), [
    {
      type: 'library',
      name: '@a/b',
      version: '1.2.3',
      licences: ['MIT'],
      purl: 'pkg:npm/%40a/b@1.2.3',
      hashes: { 'SHA-512': '07'.repeat(64) },
      sources: [{ type: 'vcs', url: 'https://github.com/a/b' }],
    },
  ]);
  assert.deepEqual([...(await bundleServices(folder)).values()].map(String), [...files.values()].map(String));
});

test('a mistake in the source is shown with its file and line', async () => {
  write(SERVICES['cloud-client'], 'const x = 1;\nimport y from "./missing.ts";\nconsole.log(y);\n');
  await assert.rejects(bundleServices(folder), {
    code: 'builder/bundle-failed',
    message: /cloud-client\/main\.ts:2/,
  });
});

test('every source that leaves code in a bundle of the device is in the key of the task', async () => {
  const repository = join(import.meta.dirname, '../../../..');
  for (const [name, path] of Object.entries(SERVICES)) {
    const { files } = await new CodeFinder().codeOf(join(repository, path));
    const { metafile } = await bundleService(repository, name, path);
    const sources = Object.values(metafile.outputs)
      .flatMap(({ inputs }) => Object.entries(inputs))
      .filter(([source, { bytesInOutput }]) => bytesInOutput > 0 && !source.includes('node_modules/'))
      .map(([source]) => join(repository, source));
    assert.ok(sources.includes(join(repository, path)));
    assert.deepEqual(
      sources.filter((source) => !(source in files)),
      [],
    );
  }
});

test('settings of the type checker change no bundle', async () => {
  write(SERVICES.platformd, 'class A { b = 1; }\nconsole.log(new A());\n');
  rmSync(join(folder, SERVICES['cloud-client']), { force: true });
  const text = async () => String((await bundleServices(folder)).get('usr/lib/mbl/platformd.mjs'));
  const before = await text();
  write('tsconfig.json', '{ "compilerOptions": { "target": "es2015", "useDefineForClassFields": false } }');
  assert.equal(await text(), before);
});

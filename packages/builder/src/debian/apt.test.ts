// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { resolvePackages } from './packages.ts';
import { resolveSource } from './source.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-apt-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const request = { suite: 'trixie', architecture: 'arm64', packages: ['base-files'] } as const;

const listen = async (
  answer: (path: string) => string | undefined,
): Promise<{ server: Server; uri: string }> => {
  const server = createServer((incoming, outgoing) => {
    const body = answer(incoming.url ?? '');
    outgoing.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return { server, uri: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` };
};

test('without a network the error says so', async () => {
  const { server, uri } = await listen(() => undefined);
  await new Promise((resolve) => server.close(resolve));
  const mirrors = { main: `${uri}/debian`, security: `${uri}/debian-security` };
  await assert.rejects(resolvePackages(request, { cache: join(folder, 'offline'), mirrors }), {
    code: 'builder/no-network',
    remedy: /MBL_DEBIAN_MIRROR/,
  });
});

test('a mirror that does not serve the suite is named', async () => {
  const { server, uri } = await listen(() => undefined);
  const mirrors = { main: `${uri}/debian`, security: `${uri}/debian-security` };
  try {
    await assert.rejects(resolvePackages(request, { cache: join(folder, 'empty'), mirrors }), {
      code: 'builder/mirror',
      message: /trixie/,
    });
  } finally {
    server.close();
  }
});

test('an index without a signature of Debian is refused', async () => {
  const release =
    'Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n';
  const { server, uri } = await listen((path) => (path.endsWith('/Release') ? release : undefined));
  const mirrors = { main: `${uri}/debian`, security: `${uri}/debian-security` };
  try {
    await assert.rejects(resolvePackages(request, { cache: join(folder, 'unsigned'), mirrors }), {
      code: 'builder/debian-keys',
    });
    await assert.rejects(resolveSource('hello', 'trixie', { cache: join(folder, 'unsigned'), mirrors }), {
      code: 'builder/debian-keys',
    });
  } finally {
    server.close();
  }
});

test('a name that apt would take as an option or a path is refused before apt sees it', async () => {
  const mirrors = { main: 'http://127.0.0.1:1/debian', security: 'http://127.0.0.1:1/s' };
  for (const name of ['--yes', './x.deb', 'a b', ''])
    await assert.rejects(
      resolvePackages({ ...request, packages: [name] }, { cache: join(folder, 'name'), mirrors }),
      {
        code: 'builder/unknown-package',
      },
    );
});

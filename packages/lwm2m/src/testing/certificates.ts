// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const openssl = (...args: string[]): Promise<unknown> =>
  promisify(execFile)('openssl', args, { timeout: 10_000 });

export interface Identity {
  key: Buffer;
  cert: Buffer;
  files: { key: string; cert: string };
}

export interface TestCertificates extends AsyncDisposable {
  ca: Buffer;
  caFile: string;
  server: Identity;
  client: Identity;
}

/** A CA with a server (127.0.0.1) and a client (CN=board-1), all P-256, made by openssl. */
export async function testCertificates(): Promise<TestCertificates> {
  const folder = await mkdtemp(join(tmpdir(), 'mbl-lwm2m-'));
  const at = (name: string): string => join(folder, name);
  const key = (name: string): Promise<unknown> =>
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', at(`${name}.key`));
  const identity = async (name: string, subject: string, extensions: string): Promise<Identity> => {
    const files = { key: at(`${name}.key`), cert: at(`${name}.crt`) };
    await key(name);
    await writeFile(at(`${name}.ext`), extensions);
    await openssl('req', '-new', '-key', files.key, '-subj', subject, '-out', at(`${name}.csr`));
    await openssl(
      ...['x509', '-req', '-in', at(`${name}.csr`), '-CA', at('ca.crt'), '-CAkey', at('ca.key')],
      ...['-CAcreateserial', '-days', '2', '-extfile', at(`${name}.ext`), '-out', files.cert],
    );
    return { key: await readFile(files.key), cert: await readFile(files.cert), files };
  };
  await key('ca');
  await openssl(
    'req',
    '-x509',
    '-new',
    '-key',
    at('ca.key'),
    '-subj',
    '/CN=test CA',
    '-days',
    '2',
    '-out',
    at('ca.crt'),
  );
  return {
    ca: await readFile(at('ca.crt')),
    caFile: at('ca.crt'),
    server: await identity(
      'server',
      '/CN=server',
      'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n',
    ),
    client: await identity('client', '/CN=board-1', 'extendedKeyUsage=clientAuth\n'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

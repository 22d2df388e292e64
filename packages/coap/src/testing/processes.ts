// SPDX-License-Identifier: Apache-2.0
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listen, within } from './support.ts';

/** Other people's programs, as the peers of this package's tests. */

export interface Finished {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

/** Runs a program to its end. */
export async function run(program: string, args: string[], milliseconds = 10_000): Promise<Finished> {
  await using child = start(program, args);
  const [code] = (await within(once(child.process, 'close'), milliseconds, program)) as [number | null];
  return { code, stdout: child.stdout(), stderr: child.stderr() };
}

export interface Running extends AsyncDisposable {
  process: ChildProcessWithoutNullStreams;
  stdout(): Buffer;
  stderr(): string;
}

/** Starts a program that is ended when disposed. */
export function start(program: string, args: string[]): Running {
  const child = spawn(program, args, { stdio: 'pipe' });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {});
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    process: child,
    stdout: () => Buffer.concat(out),
    stderr: () => Buffer.concat(err).toString(),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await within(closed, 5000, `the end of ${program}`);
    },
  };
}

export interface Certificates extends AsyncDisposable {
  directory: string;
  /** Path of a file in the directory. */
  path: (name: string) => string;
}

/** `ca.pem`, and `server` and `client` with `.pem` and `.key`, made by the openssl command. */
export async function makeCertificates(): Promise<Certificates> {
  const directory = await mkdtemp(join(tmpdir(), 'coap-certificates-'));
  const path = (name: string): string => join(directory, name);
  const openssl = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await run('openssl', args);
    if (code !== 0) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...key, '-keyout', path('ca.key'), '-out', path('ca.pem'), '-subj', '/CN=ca');
  await writeFile(path('extensions'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  for (const name of ['server', 'client']) {
    const request = path(`${name}.csr`);
    await openssl('req', ...key, '-keyout', path(`${name}.key`), '-out', request, '-subj', `/CN=${name}`);
    const signer = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial', '-days', '2'];
    const out = ['-in', request, '-out', path(`${name}.pem`), '-extfile', path('extensions')];
    await openssl('x509', '-req', ...signer, ...out);
  }
  return {
    directory,
    path,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** A port that is free for TCP and UDP, and so is the next one: libcoap serves TLS there. */
export async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const probe = net.createServer();
    const port = await listen(probe);
    await new Promise((resolve) => probe.close(resolve));
    if (port < 65535 && (await isFree(port)) && (await isFree(port + 1))) return port;
  }
  throw new Error('no two ports in a row are free on 127.0.0.1');
}

async function isFree(port: number): Promise<boolean> {
  const tcp = net.createServer();
  const udp = dgram.createSocket('udp4');
  try {
    tcp.listen(port, '127.0.0.1');
    await once(tcp, 'listening');
    udp.bind(port, '127.0.0.1');
    await once(udp, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    tcp.close();
    udp.close();
  }
}

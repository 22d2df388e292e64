// SPDX-License-Identifier: Apache-2.0
//
// Budget: the service serves ranges of a release at 80 % or more of what nginx serves from the same disk, both over TLS 1.3, as a device asks
// for them: pieces of 1 MiB at most, one after the other on each connection. nginx is the one on the PATH, or MBL_NGINX; without one the
// figure is shown beside reading the file. MBL_BENCH_MB is another size of the file.
import { randomBytes } from 'node:crypto';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { Agent, get } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findWorkspace, processCli, startDaemon, stopDaemon, useTools } from '@mbl/cli';
import { median, report, root, type Row, run, scratch } from './support.ts';

const megabytes = Number(process.env['MBL_BENCH_MB'] ?? 256);
const size = megabytes << 20;
const piece = 1 << 20;
const connections = 4;
const rounds = 7;
const perRound = 192;
const path = 'targets/os/components/ab/ab.root.img';

const agents = new Map<string, Agent>();

await using stack = new AsyncDisposableStack();
const state = stack.use(await scratch());
await run('chmod', ['711', state.path]);
const releases = join(state.path, 'releases');
const file = join(releases, path);
await mkdir(join(file, '..'), { recursive: true });
{
  await using handle = await open(file, 'w');
  for (let at = 0; at < size; at += piece) await handle.write(randomBytes(piece));
}

const cli = processCli(findWorkspace({ ...process.env, MBL_STATE: state.path }, root));
await useTools(cli);
const { file: service } = await startDaemon(cli.workspace, { signal: cli.signal });
stack.defer(async () => void (await stopDaemon(cli.workspace, cli.signal)));
const own = `${service.est}/releases/${path}`;
const peer = await startNginx();

const seconds = { own: [] as number[], peer: [] as number[] };
await fetchPieces(own, perRound);
if (peer !== undefined) await fetchPieces(peer, perRound);
for (let round = 0; round < rounds; round++) {
  seconds.own.push(await fetchPieces(own, perRound));
  if (peer !== undefined) seconds.peer.push(await fetchPieces(peer, perRound));
}
for (const agent of agents.values()) agent.destroy();

const rate = (times: readonly number[]) => perRound / median(times);
const rows: Row[] = [
  {
    name: `service: MiB/s of ranges of 1 MiB, ${connections} connections`,
    value: rate(seconds.own),
    unit: '/s',
  },
];
if (peer === undefined) {
  const { seconds: reading } = await run('cat', [file]);
  rows.push({ name: 'limit: MiB/s of cat (no nginx here)', value: megabytes / reading, unit: '/s' });
} else {
  rows.push({ name: 'nginx: the same', value: rate(seconds.peer), unit: '/s' });
  rows.push({
    name: 'time of the service beside nginx (median of rounds)',
    value: 100 * median(seconds.own.map((time, round) => time / (seconds.peer[round] ?? Number.NaN))),
    unit: '%',
    budget: 125,
  });
}
report(rows);

/** Gives the seconds for so many pieces, at places all over the file. */
async function fetchPieces(url: string, count: number): Promise<number> {
  const agent =
    agents.get(url) ?? new Agent({ keepAlive: true, maxSockets: connections, rejectUnauthorized: false });
  agents.set(url, agent);
  let next = 0;
  const begin = performance.now();
  const work = Array.from({ length: connections }, async () => {
    while (next < count) {
      const at = ((next++ * 37) % megabytes) * piece;
      const request = get(url, { agent, headers: { range: `bytes=${at}-${at + piece - 1}` } });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      if (response.statusCode !== 206) throw new Error(`${url} answers ${response.statusCode}`);
      let bytes = 0;
      for await (const chunk of response) bytes += (chunk as Buffer).length;
      if (bytes !== piece) throw new Error(`${url}: ${bytes} bytes`);
    }
  });
  await Promise.all(work);
  return (performance.now() - begin) / 1000;
}

/** The URL of the file there; undefined where there is no nginx. */
async function startNginx(): Promise<string | undefined> {
  const nginx = process.env['MBL_NGINX'] ?? 'nginx';
  if (spawnSync(nginx, ['-v']).error !== undefined) return undefined;
  const folder = join(state.path, 'nginx');
  await mkdir(folder);
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '2', '-keyout', key, '-out', certificate];
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...subject,
  ]);
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const configuration = join(folder, 'nginx.conf');
  await writeFile(
    configuration,
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;${process.getuid?.() === 0 ? ' user root;' : ''}
events { worker_connections 64; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
  server {
    listen 127.0.0.1:${port} ssl; root ${state.path};
    ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
  }
}
`,
  );
  const child = spawn(nginx, ['-c', configuration, '-p', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  stack.defer(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  const url = `https://127.0.0.1:${port}/releases/${path}`;
  for (let tries = 0; ; tries++) {
    const answers = await fetchPieces(url, 1).then(
      () => true,
      () => false,
    );
    if (answers) return url;
    if (tries === 100) throw new Error('nginx does not answer');
    await sleep(100);
  }
}

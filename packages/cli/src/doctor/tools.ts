// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Diagnosis } from './finding.ts';

interface Tool {
  readonly command: string;
  readonly package: string;
  readonly version?: { readonly argument: string; readonly least: readonly [number, number] };
}

/** The programs that the workbench starts, and the oldest version that is known to work where age matters. */
const tools: readonly Tool[] = [
  {
    command: 'qemu-system-aarch64',
    package: 'qemu-system-arm',
    version: { argument: '--version', least: [7, 2] },
  },
  {
    command: 'aarch64-linux-gnu-gcc',
    package: 'gcc-aarch64-linux-gnu',
    version: { argument: '--version', least: [12, 0] },
  },
  { command: 'gcc', package: 'gcc' },
  { command: 'make', package: 'make', version: { argument: '--version', least: [4, 0] } },
  { command: 'bison', package: 'bison' },
  { command: 'flex', package: 'flex' },
  { command: 'swig', package: 'swig' },
  { command: 'python3', package: 'python3-dev', version: { argument: '--version', least: [3, 9] } },
  { command: 'dtc', package: 'device-tree-compiler' },
  { command: 'mke2fs', package: 'e2fsprogs' },
  { command: 'mkfs.erofs', package: 'erofs-utils' },
  { command: 'ssh', package: 'openssh-client' },
  { command: 'gpgv', package: 'gpgv' },
  { command: 'xz', package: 'xz-utils' },
];

/** Looks for every tool on the PATH, and for PostgreSQL where Debian keeps it. */
export async function checkTools(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Diagnosis[]> {
  const folders = (environment['PATH'] ?? '').split(delimiter);
  const found = await Promise.all(tools.map(async (tool) => await checkTool(tool, folders)));
  const missing = found.filter(({ state }) => state !== 'good');
  const present = found.length - missing.length;
  const summary: Diagnosis = { what: 'tools', state: 'good', found: `${present} of ${found.length} found` };
  return [...(present > 0 ? [summary] : []), ...missing, await checkPostgres(environment, folders)];
}

async function checkTool(tool: Tool, folders: readonly string[]): Promise<Diagnosis> {
  const path = await find(tool.command, folders);
  if (path === undefined) {
    return {
      what: tool.command,
      state: 'bad',
      found: 'not found',
      remedy: `Install it: apt-get install --no-install-recommends ${tool.package}`,
    };
  }
  if (tool.version === undefined) return { what: tool.command, state: 'good', found: path };
  const { argument, least } = tool.version;
  const version = await versionOf(path, argument);
  const good =
    version !== undefined && (version[0] > least[0] || (version[0] === least[0] && version[1] >= least[1]));
  return {
    what: tool.command,
    state: good ? 'good' : 'warning',
    found: version === undefined ? 'its version cannot be read' : version.join('.'),
    ...(good
      ? {}
      : { remedy: `Version ${least.join('.')} or later is known to work: Debian 12 or later has it.` }),
  };
}

async function checkPostgres(
  environment: Readonly<Record<string, string | undefined>>,
  folders: readonly string[],
): Promise<Diagnosis> {
  const what = 'PostgreSQL';
  if (environment['DATABASE_URL']) return { what, state: 'good', found: 'DATABASE_URL' };
  const versions = await readdir('/usr/lib/postgresql').catch((): string[] => []);
  const own = versions.map((version) => join('/usr/lib/postgresql', version, 'bin'));
  const path = await find('initdb', [...own, ...folders]);
  if (path !== undefined) return { what, state: 'good', found: path };
  return {
    what,
    state: 'bad',
    found: 'not found',
    remedy: 'Install it: apt-get install --no-install-recommends postgresql',
  };
}

async function find(command: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder || '.', command);
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  return undefined;
}

async function versionOf(path: string, argument: string): Promise<[number, number] | undefined> {
  const text = await new Promise<string>((resolve) => {
    execFile(path, [argument], { timeout: 10_000 }, (_error, stdout, stderr) =>
      resolve(`${stdout}${stderr}`),
    );
  });
  const match = /(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

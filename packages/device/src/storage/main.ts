// SPDX-License-Identifier: Apache-2.0
//
// Brings up everything that the board writes to, before any service starts: docs/decisions/0012. A board whose file systems are damaged
// or gone mends them or makes them anew; it never stays away for them.
import { lstat, statfs, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { readText } from '@mbl/formats';
import { incomingBudget, incomingProject } from '../common/incoming-budget.ts';
import {
  expectedFolders,
  groupNumber,
  makeFolder,
  type Owner,
  ownerOf,
  ownFiles,
  removeUnlessFolder,
  root as rootUser,
} from './folders.ts';
import { type Incident, keepIncidents } from './incidents.ts';
import { systemTools, type Tools } from './tools.ts';
import { boardVolumes, type Examined, examine, make, mountMemory, type Volume } from './volume.ts';

export interface StorageOptions {
  /** Folder in front of every path: '' on a board. */
  readonly root: string;
  readonly tools: Tools;
}

/** Mounts factory, config and data, and makes sure of what is in them. Returns what happened, as kept in `/config/incidents`. */
export async function bringUpStorage({ root, tools }: StorageOptions): Promise<Incident[]> {
  const at = (path: string): string => `${root}${path}`;
  const volumes = boardVolumes(at('/run/mbl/disk'));
  const both = [volumes.config, volumes.data].map((volume) => ({ ...volume, folder: at(volume.folder) }));
  const [examined] = await Promise.all([
    Promise.all(both.map(async (volume) => await examine(volume, tools))),
    mountFactory(at, tools),
  ]);
  const incidents = [...(await notes(at('/run/mbl/notes'))), ...mended(examined)];
  const lost = examined.filter(({ ready }) => !ready).map(({ volume }) => volume);
  const failures = await make(lost, tools);
  for (const volume of lost) {
    const failure = failures.get(volume.name);
    if (failure === undefined) continue;
    // The last resort: the board is there, and says what is wrong, with nothing that lasts.
    await mountMemory(volume, tools);
    const detail = `the partition ${volume.name} cannot be written, its contents are in memory only: ${failure}`;
    incidents.push({ kind: `${volume.name}-in-memory`, detail, lasting: true });
  }
  const [config, data] = both as [Volume, Volume];
  incidents.push(...(await orInMemory(data, tools, () => checkData(at))));
  await boundIncoming(at, tools);
  incidents.push(...(await orInMemory(config, tools, () => checkConfig(at))));
  for (const { kind, detail } of incidents) tools.say(`${kind}: ${detail}`);
  await keepIncidents(at('/config/incidents'), incidents).catch((error: unknown) => {
    // A full partition, say: that nobody is told of it later is no reason to stay away now.
    tools.say(`these are not kept: ${messageOf(error)}`);
  });
  return incidents;
}

/** What cannot be put right, a file that is immutable or a directory that cannot be read, is hidden by memory: the last resort here too. */
async function orInMemory(
  volume: Volume,
  tools: Tools,
  check: () => Promise<Incident[]>,
): Promise<Incident[]> {
  try {
    return await check();
  } catch (error) {
    await mountMemory(volume, tools);
    const detail = `the partition ${volume.name} holds what cannot be put right, its contents are in memory only: ${messageOf(error)}`;
    return [{ kind: `${volume.name}-in-memory`, detail, lasting: true }, ...(await check())];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What was done to file systems. The first start, and one that goes on with it, makes both, and nothing was lost: neither was there. */
function mended(examined: readonly Examined[]): Incident[] {
  const unready = examined.filter(({ ready }) => !ready);
  const fresh = examined.some(({ before }) => before === 'unfinished');
  const blank =
    unready.length === examined.length &&
    unready.some(({ before }) => before === 'blank') &&
    unready.every(({ before }) => before !== 'made');
  return examined.flatMap(({ volume, ready, repaired, reason }) => {
    if (repaired) return [{ kind: `${volume.name}-repaired`, detail: reason }];
    return ready || fresh || blank ? [] : [{ kind: `${volume.name}-made`, detail: reason }];
  });
}

/** What the initramfs had to say. */
async function notes(path: string): Promise<Incident[]> {
  const lines = (await readText(path, 64 * 1024))?.split('\n') ?? [];
  return lines.flatMap((line) => {
    const [, kind = '', detail = ''] = /^([a-z][a-z-]{0,31}) (.+)$/.exec(line) ?? [];
    return kind === '' ? [] : [{ kind, detail, lasting: true }];
  });
}

type Place = (path: string) => string;

async function checkData(at: Place): Promise<Incident[]> {
  const wrong: string[] = [];
  for (const name of ['var', 'home'])
    if (await makeFolder(at(`/data/${name}`), 0o755)) wrong.push(`/data/${name}`);
  for (const path of await expectedFolders(at('/usr/lib/tmpfiles.d'), '/var'))
    if (await removeUnlessFolder(at(`/data/var/${path}`))) wrong.push(`/data/var/${path}`);
  for (const [path, mode, owner] of await appFolders(at))
    if (await makeFolder(at(path), mode, owner)) wrong.push(path);
  return replaced('data-repaired', wrong);
}

/** Once is enough: the disk keeps it. `mbl-apps` sets it again. */
async function boundIncoming(at: Place, tools: Tools): Promise<void> {
  const folder = at('/data/apps/incoming');
  const { blocks, bsize } = await statfs(at('/data/apps'));
  const { bytes, files } = incomingBudget(blocks * bsize);
  const args = ['quota', 'set', folder, String(incomingProject), String(bytes), String(files)];
  const { code, said } = await tools.run('/usr/lib/mbl/mbl-native', args, 10_000);
  if (code !== 0) tools.say(`what is fetched of apps has no bound: ${said}`);
}

/**
 * Where apps are kept, each after the one that it is in: path, mode, owner. What is in them is judged by who reads it
 * (docs/decisions/0029); that nobody chose where it is written is judged here. The same are in storage.sh.
 */
async function appFolders(at: Place): Promise<readonly (readonly [string, number, Owner])[]> {
  const platform = await ownerOf(at('/etc/passwd'), 'mbl-platformd');
  const exchange = { uid: platform.uid, gid: await groupNumber(at('/etc/group'), 'mbl-apps') };
  return [
    ['/data/apps', 0o755, rootUser],
    // Who fetches writes to the files that are there, and makes none.
    ['/data/apps/incoming', 0o2750, exchange],
    ['/data/apps/orders', 0o755, platform],
    ['/data/apps/installed', 0o755, rootUser],
    ['/data/apps/installed/teams', 0o755, rootUser],
    ['/data/apps/installed/images', 0o755, rootUser],
    ['/data/apps/installed/accepted', 0o755, rootUser],
    ['/data/apps/volumes', 0o755, rootUser],
  ];
}

async function checkConfig(at: Place): Promise<Incident[]> {
  const passwd = at('/etc/passwd');
  const client = await ownerOf(passwd, 'mbl-cloud-client');
  const platform = await ownerOf(passwd, 'mbl-platformd');
  const wrong: string[] = [];
  if (await removeUnlessFolder(at('/config/ssh'))) wrong.push('/config/ssh');
  if (await makeFolder(at('/config/incidents'), 0o755, platform)) wrong.push('/config/incidents');
  if (await makeFolder(at('/config/update'), 0o755, platform)) wrong.push('/config/update');
  if (await makeFolder(at('/config/identity'), 0o700, client)) wrong.push('/config/identity');
  if (await ownFiles(at('/config/identity'), client)) wrong.push('something in /config/identity');
  return replaced('config-repaired', wrong);
}

function replaced(kind: string, paths: readonly string[]): Incident[] {
  return paths.length === 0 ? [] : [{ kind, detail: `no folder or file, and removed: ${paths.join(' ')}` }];
}

/** `/run/mbl/provisioned` is there when the board knows where it belongs; else `/run/mbl/waits` says what is missing. */
async function mountFactory(at: Place, tools: Tools): Promise<void> {
  const args = ['-t', 'erofs', '-o', 'ro,nosuid,nodev,noexec', at('/run/mbl/disk/factory'), at('/factory')];
  const { code } = await tools.run('mount', args, 60_000);
  const missing =
    code !== 0
      ? 'the partition "factory" holds no file system'
      : (await isPlainFile(at('/factory/factory.json')))
        ? undefined
        : 'the partition "factory" holds no factory.json';
  if (missing === undefined) await writeFile(at('/run/mbl/provisioned'), '');
  else await writeFile(at('/run/mbl/waits'), `${missing}\n`);
}

async function isPlainFile(path: string): Promise<boolean> {
  return await lstat(path).then(
    (entry) => entry.isFile() && entry.size > 0,
    () => false,
  );
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { root: { type: 'string', default: '' } } });
  try {
    await bringUpStorage({ root: values.root, tools: systemTools });
    // A check that was given up may still be there: it must not keep this process.
    process.exit(0);
  } catch (error) {
    systemTools.say(`failed: ${messageOf(error)}`);
    process.exit(1);
  }
}

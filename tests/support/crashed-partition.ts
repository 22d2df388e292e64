// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { boardVolumes, examine, IdentityStore, loadSettings, systemTools } from '@mbl/device';

const run = promisify(execFile);

/**
 * What a board makes of a partition after a power cut. `new`: it makes a file system there, as at the first boot. `whole`: after the replay
 * of the journal nothing is wrong. `mended`: e2fsck repairs it. `lost`: it was made, cannot be repaired, and is made anew.
 */
export type Outcome = 'new' | 'whole' | 'mended' | 'lost';

/**
 * Has the board's storage service look at the file system in `image`. Nothing is mounted: e2fsck does what a kernel does then. `orphans`: files that
 * were open are finished too, removed or cut to their length, as a kernel does after the journal (Linux fs/ext4/orphan.c).
 */
export async function recover(image: string, name: 'config' | 'data', orphans = false): Promise<Outcome> {
  const e2fsck = async (...args: string[]) => await systemTools.run('e2fsck', [...args, image], 60_000);
  const { before, ready, repaired } = await examine(
    { ...boardVolumes('')[name], device: image },
    {
      ...systemTools,
      async run(command, args, deadlineMs) {
        if (command !== 'mount') return await systemTools.run(command, args, deadlineMs);
        await e2fsck('-p', '-E', 'journal_only');
        // Without -f: what is marked clean is not looked at otherwise.
        if (orphans) await e2fsck('-p');
        return await e2fsck('-f', '-n');
      },
    },
  );
  if (ready) return repaired ? 'mended' : 'whole';
  return before === 'blank' || before === 'unfinished' ? 'new' : 'lost';
}

/** What the device's own code makes of the identity folder on a configuration partition. */
export interface FoundIdentity {
  readonly state: 'whole' | 'key only' | 'absent' | 'damaged';
  readonly why?: string | undefined;
  /** SHA-256 of the certificate, as the directory shows it. */
  readonly certificate?: string | undefined;
  readonly lifetime: number;
}

/** Takes a folder of an unmounted file system out of it, when it is there. */
export async function extract(image: string, folder: string, into: string): Promise<void> {
  await rm(into, { recursive: true, force: true });
  await mkdir(into, { recursive: true });
  await run('debugfs', ['-R', `rdump ${folder} ${into}`, image]);
}

export async function readIdentity(
  image: string,
  endpointName: string,
  work: string,
): Promise<FoundIdentity> {
  const folder = join(work, 'identity');
  await extract(image, '/identity', work);
  const { lifetime } = await loadSettings(folder);
  const { key, identity, damage } = await new IdentityStore(folder, endpointName).load();
  if (damage !== undefined) return { state: 'damaged', why: damage, lifetime };
  if (key === undefined) {
    const orphan = await exists(join(folder, 'certificate.pem'));
    return orphan
      ? { state: 'damaged', why: 'a certificate without its key', lifetime }
      : { state: 'absent', lifetime };
  }
  if (identity === undefined) return { state: 'key only', lifetime };
  const certificate = identity.certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return { state: 'whole', certificate, lifetime };
}

/** Makes a file, with holes for its zeros, of a part of another one. */
export async function copyRegion(
  { path, offset, size }: { readonly path: string; readonly offset: number; readonly size: number },
  into: string,
): Promise<void> {
  const bytes = Buffer.alloc(size);
  await using from = await open(path);
  await from.read(bytes, 0, size, offset);
  await using to = await open(into, 'w');
  await to.truncate(size);
  const zeros = Buffer.alloc(64 * 1024);
  for (let at = 0; at < size; at += zeros.length) {
    const piece = bytes.subarray(at, at + zeros.length);
    if (!piece.equals(zeros)) await to.write(piece, 0, piece.length, at);
  }
}

/** A copy that may be changed. */
export async function copyOf(image: string): Promise<string> {
  const copy = `${image}.judged`;
  // With its holes: most of a partition is nothing.
  await run('cp', ['--sparse=always', image, copy]);
  return copy;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { MblError } from '@mbl/trust';
import { readGpt, renewGuids } from './gpt.ts';
import { provisionDisk } from './provision.ts';

const run = promisify(execFile);
const megabyte = 1024 * 1024;
let work = '';
let disk = '';
let fresh: Buffer;

before(async () => {
  work = await mkdtemp(join(tmpdir(), 'mbl-provision-'));
  disk = join(work, 'disk.img');
  await writeFile(disk, '');
  await truncate(disk, 8 * megabyte);
  const names = ['--change-name=1:root_a', '--change-name=2:factory', '--typecode=2:8300'];
  const zero = '00000000-0000-4000-8000-000000000001';
  const guids = [`--disk-guid=${zero}`, `--partition-guid=1:${zero}`, `--partition-guid=2:${zero}`];
  await run('sgdisk', ['--clear', '--new=1:2048:4095', '--new=2:4096:6143', ...names, ...guids, disk]);
  fresh = await readFile(disk);
});
beforeEach(async () => await writeFile(disk, fresh));
after(async () => await rm(work, { recursive: true, force: true }));

/** GUIDs as another implementation reads them, with its verdict on the table. */
async function guids(): Promise<string[]> {
  const verdict = await run('sgdisk', ['--verify', disk]);
  assert.match(verdict.stdout, /No problems found/, verdict.stdout + verdict.stderr);
  const infos = await Promise.all(
    ['--print', '--info=1', '--info=2'].map((arg) => run('sgdisk', [arg, disk])),
  );
  return infos.flatMap(
    ({ stdout }) => /(?:identifier \(GUID\)|unique GUID): ([0-9A-F-]{36})/.exec(stdout)?.[1] ?? [],
  );
}

function failsWith(code: string, message?: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MblError);
    assert.equal(error.code, code);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

test('a provisioned disk has its files, and GUIDs that another disk of the same image has not', async () => {
  const before = await guids();
  assert.equal(new Set(before).size, 1);
  await provisionDisk({ disk, files: { 'factory.json': '{}', extra: 'more' } });
  const first = await guids();
  assert.equal(new Set([...before, ...first]).size, 4, 'three new ones');
  const image = join(work, 'factory.erofs');
  await writeFile(image, (await readFile(disk)).subarray(2 * megabyte, 3 * megabyte));
  const { stdout } = await run('dump.erofs', ['--ls', '--path=/', image]);
  assert.match(stdout, /factory\.json/);
  assert.match(stdout, /extra/);
  await provisionDisk({ disk });
  assert.equal(new Set([...first, ...(await guids())]).size, 6, 'and again');
  await writeFile(image, (await readFile(disk)).subarray(2 * megabyte, 3 * megabyte));
  assert.equal((await run('dump.erofs', ['--ls', '--path=/', image])).stdout, stdout, 'the files stay');
});

test('nothing is written when the disk cannot be provisioned', async () => {
  const big = { big: new Uint8Array(2 * megabyte).fill(1) };
  await assert.rejects(provisionDisk({ disk, files: big }), failsWith('factory/too-large', /has 1048576/));
  await assert.rejects(provisionDisk({ disk, files: { '../up': '' } }), failsWith('factory/bad-name'));
  assert.ok((await readFile(disk)).equals(fresh));

  await assert.rejects(provisionDisk({ disk: join(work, 'none') }), failsWith('factory/no-disk'));
  await assert.rejects(provisionDisk({ disk: work }), failsWith('factory/no-disk'));
  await writeFile(disk, Buffer.alloc(megabyte));
  await assert.rejects(provisionDisk({ disk }), failsWith('factory/no-table'));

  const other = Buffer.from(fresh);
  other.write('other_name', 1024 + 128 + 56, 'utf16le');
  await writeFile(disk, other);
  await assert.rejects(
    provisionDisk({ disk, files: {} }),
    failsWith('factory/bad-table', /entries is wrong/),
  );
});

/** Puts the checksum of a changed header, at this byte, right. */
function seal(bytes: Buffer, at: number): void {
  const header = bytes.subarray(at, at + 92);
  header.writeUInt32LE(0, 16);
  header.writeUInt32LE(crc32(header), 16);
}

const backupAt = 8 * megabyte - 512;
for (const [name, change] of Object.entries<(bytes: Buffer) => Buffer>({
  'has no backup': (bytes) => bytes.fill(0, backupAt),
  'is cut off': (bytes) => bytes.subarray(0, 2 * megabyte + 512),
  'has the entries of its backup in a partition': (bytes) => {
    bytes.writeBigUInt64LE(3000n, backupAt + 72);
    return bytes;
  },
  'has the entries of its backup where the header is': (bytes) => {
    bytes.writeBigUInt64LE(1n, backupAt + 72);
    return bytes;
  },
  'is its own backup': (bytes) => {
    bytes.writeBigUInt64LE(1n, 512 + 32);
    seal(bytes, 512);
    return bytes;
  },
  'has its backup in a partition': (bytes) => {
    bytes.writeBigUInt64LE(3000n, 512 + 32);
    seal(bytes, 512);
    bytes.copy(bytes, 3000 * 512, backupAt, backupAt + 512);
    return bytes;
  },
  'has a partition where the table is': (bytes) => {
    bytes.writeBigUInt64LE(0n, 1024 + 128 + 32);
    bytes.writeUInt32LE(crc32(bytes.subarray(1024, 1024 + 128 * 128)), 512 + 88);
    seal(bytes, 512);
    return bytes;
  },
}))
  test(`nothing is written to a disk whose table ${name}`, async () => {
    const crafted = change(Buffer.from(fresh));
    await writeFile(disk, crafted);
    await assert.rejects(
      provisionDisk({ disk, files: { 'factory.json': '{}' } }),
      failsWith('factory/bad-table'),
    );
    assert.ok((await readFile(disk)).equals(crafted));
  });

test('a power cut within the change of the GUIDs leaves a table that another implementation reads', async () => {
  const states: Buffer[] = [];
  const handle = await open(disk, 'r+');
  const gpt = await readGpt(handle);
  assert.ok(gpt);
  await renewGuids(
    {
      read: handle.read.bind(handle),
      stat: handle.stat.bind(handle),
      sync: handle.sync.bind(handle),
      write: async (buffer: Buffer, ...rest: [number, number, number]) => {
        const written = await handle.write(buffer, ...rest);
        states.push(await readFile(disk));
        return written;
      },
    } as unknown as typeof handle,
    gpt,
    (size) => Buffer.alloc(size, 7),
  );
  await handle.close();
  assert.equal(states.length, 4);
  for (const state of states) {
    await writeFile(disk, state);
    // Reads the backup where the primary is damaged.
    const { stdout } = await run('sgdisk', ['--print', disk]);
    assert.match(stdout, /root_a[\s\S]*factory/);
  }
});

test('no table makes the reader throw anything but its error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(0x4fff), fc.nat(255)), { maxLength: 6 }), async (changes) => {
      const bytes = fresh.subarray(0, 0x5000);
      const mutated = Buffer.from(bytes);
      for (const [at, value] of changes) mutated[at] = value;
      await writeFile(disk, mutated);
      await using handle = await open(disk);
      try {
        const gpt = await readGpt(handle);
        assert.ok(gpt === undefined || gpt.partitions.every(({ size }) => size > 0));
      } catch (error) {
        if (!(error instanceof MblError)) throw error;
        assert.equal(error.code, 'factory/bad-table');
      }
    }),
    { numRuns: 200 },
  );
});

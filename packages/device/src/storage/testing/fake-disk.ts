// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Outcome } from '../../common/run.ts';
import { systemTools, type Tools } from '../tools.ts';

const programs = {
  ...process.env,
  PATH: `${process.env['PATH']}:/usr/sbin:/sbin`,
  MKE2FS_CONFIG: '/dev/null',
};

/** The contents of a partition. */
export function partition(path: string): Buffer {
  return readFileSync(path);
}

/**
 * A board's root below a temporary folder, its partitions as files. e2fsprogs works on them as on a disk; `mount` only checks: it says
 * what e2fsck thinks of a file system.
 */
export class FakeDisk implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'mbl-storage-'));
  /** What was run, with its arguments. */
  readonly calls: string[] = [];
  /** What the native helper was asked for. */
  readonly helped: string[] = [];
  readonly said: string[] = [];
  /** Programs that never end, or end with this code, by name. */
  readonly broken = new Map<string, number | undefined>();

  constructor() {
    for (const folder of ['run/mbl/disk', 'factory', 'config', 'data', 'etc', 'usr/lib/tmpfiles.d'])
      mkdirSync(join(this.root, folder), { recursive: true });
    const users = ['mbl-cloud-client', 'mbl-platformd'].map(
      (name) => `${name}:x:${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}::/:/\n`,
    );
    writeFileSync(join(this.root, 'etc/passwd'), users.join(''));
    writeFileSync(join(this.root, 'etc/group'), `mbl-apps:x:${process.getgid?.() ?? 0}:\n`);
    for (const [name, mebibytes] of [
      ['config', 8],
      ['data', 160],
      ['factory', 1],
    ] as const) {
      writeFileSync(this.device(name), '');
      truncateSync(this.device(name), mebibytes * 1024 * 1024);
    }
  }

  device(name: string): string {
    return join(this.root, 'run/mbl/disk', name);
  }

  async tool(command: string, ...args: string[]): Promise<void> {
    await promisify(execFile)(command, args, { env: programs });
  }

  readonly tools: Tools = {
    ...systemTools,
    run: async (command, args, deadlineMs) => {
      this.calls.push(`${command} ${args.at(-1)?.replace(this.root, '')}`);
      if (this.broken.has(command)) return { code: this.broken.get(command), said: 'broken' };
      if (command === '/usr/lib/mbl/mbl-native') {
        this.helped.push(args.join(' ').replace(this.root, ''));
        return { code: 0, said: '' };
      }
      if (command !== 'mount') return await systemTools.run(command, args, deadlineMs);
      const [device = ''] = args.slice(-2);
      if (args.includes('tmpfs')) return this.#hide(args.at(-1) ?? '');
      const { code, said } = args.includes('erofs')
        ? {
            code: partition(device).subarray(1024, 1028).equals(Buffer.from('e2e1f5e0', 'hex')) ? 0 : 32,
            said: '',
          }
        : await systemTools.run('e2fsck', ['-n', device], deadlineMs);
      return { code: code === 0 ? 0 : 32, said };
    },
    say: (line) => void this.said.push(line),
  };

  /** What a mount of memory does to a folder. */
  #hide(folder: string): Outcome {
    renameSync(folder, `${folder}.hidden`);
    mkdirSync(folder);
    return { code: 0, said: '' };
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

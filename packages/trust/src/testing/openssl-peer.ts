// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** For tests: the openssl command in a folder of its own. */
export class OpensslPeer implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'mbl-openssl-'));

  /** Writes a file and returns its path. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.dir, name);
    writeFileSync(path, content);
    return path;
  }

  /** Runs `openssl` with these arguments in the folder; its output. Throws when it fails. */
  run(...args: readonly string[]): Buffer {
    return execFileSync('openssl', args, { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  text(...args: readonly string[]): string {
    return this.run(...args).toString('utf8');
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

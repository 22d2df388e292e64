// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { TemporaryFolder } from './support.ts';

/** For tests: `openssl s_server`, which answers a certificate that it does not trust with an alert; Node's server only hangs up. */
export class StrictServer implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: TemporaryFolder;

  private constructor(port: number, child: ChildProcess, folder: TemporaryFolder) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
  }

  /** `version` is an option of `openssl s_server`: `-tls1_3`. */
  static async start(
    tls: { key: string | Buffer; cert: string; ca: string },
    version: string,
  ): Promise<StrictServer> {
    const folder = new TemporaryFolder();
    for (const [name, pem] of Object.entries(tls)) writeFileSync(join(folder.path, name), pem);
    const port = await freePort();
    const files = ['-key', 'key', '-cert', 'cert', '-CAfile', 'ca'];
    const verify = ['-Verify', '1', '-verify_return_error', '-quiet', version];
    const child = spawn('openssl', ['s_server', '-accept', `127.0.0.1:${port}`, ...files, ...verify], {
      cwd: folder.path,
      stdio: 'ignore',
    });
    return new StrictServer(port, child, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill();
    await gone;
    this.#folder[Symbol.dispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readServiceFile, type ServiceFile } from '@mbl/formats';
import { type Answer, callService } from './service.ts';

/** The service in a process of its own, which can be killed. */
export class Daemon implements AsyncDisposable {
  readonly service: { readonly file: ServiceFile };
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(file: ServiceFile, child: ChildProcess, ended: Promise<unknown>) {
    this.service = { file };
    this.#child = child;
    this.#ended = ended;
  }

  /**
   * Starts it; the compiled sources are kept in the directory by the first that ends in order, which halves the cost of the next start. With
   * `killAt` it is killed when that resolves: undefined when that came before it was ready.
   */
  static async start(
    directory: string,
    databaseUrl: string,
    killAt?: Promise<unknown>,
  ): Promise<Daemon | undefined> {
    const main = join(import.meta.dirname, '../main.ts');
    const child = spawn(process.execPath, [main, '--directory', directory, '--database-url', databaseUrl], {
      env: { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const ended = once(child, 'close');
    const ready = Promise.withResolvers<boolean>();
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('"message":"Ready"')) ready.resolve(true);
    });
    const early = ended.then(() => false);
    const killed = killAt?.then(() => child.kill('SIGKILL'));
    const isUp = await Promise.race([ready.promise, early]);
    if (!isUp) {
      assert.ok(child.signalCode === 'SIGKILL' && killed !== undefined, `the service ended: ${said}`);
      return undefined;
    }
    const file = await readServiceFile(directory);
    assert.ok(file !== undefined && file.pid === child.pid);
    return new Daemon(file, child, ended);
  }

  call(method: string, path: string, body?: unknown): Promise<Answer> {
    return callService(this.service.file, method, path, body);
  }

  get(path: string): Promise<Answer> {
    return this.call('GET', path);
  }

  /** SIGKILL: nothing is said to anybody. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Stops it in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
  }
}

// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SimulatedDevices } from './service-devices.ts';
import type { LoadAnswer, LoadJob, LoadOrder } from './service-load.ts';
import type { BenchService } from './service-support.ts';

/** The process of simulated devices. */
export class Load implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** `port`: another server than the service, with its certificate. */
  static async start(service: BenchService, made: SimulatedDevices, port?: number): Promise<Load> {
    const ca = await readFile(service.file.trust, 'utf8');
    const job: LoadJob = { ...made, ca, port: port ?? service.file.ports.lwm2m };
    const path = join(service.directory, `load-${job.port}.json`);
    await writeFile(path, JSON.stringify(job));
    return new Load(forkBare('service-load.ts', [path]));
  }

  async order(order: LoadOrder): Promise<LoadAnswer> {
    const answered = once(this.#child, 'message');
    const ended = once(this.#child, 'exit').then(([code]) =>
      Promise.reject(new Error(`the load ended: ${code}`)),
    );
    ended.catch(() => {});
    this.#child.send(order);
    const [answer] = await Promise.race([answered, ended]);
    return answer as LoadAnswer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child);
  }
}

/** A program of this folder with an IPC channel, and without what the service is preloaded with. */
export function forkBare(file: string, args: readonly string[]): ChildProcess {
  return fork(join(import.meta.dirname, file), args, { env: { ...process.env, NODE_OPTIONS: '' } });
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  if (child.connected) child.disconnect();
  await exited;
}

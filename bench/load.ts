// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SimulatedDevices } from './service-devices.ts';
import type { LoadAnswer, LoadJob, LoadOrder } from './service-load.ts';
import type { BenchService } from './service-support.ts';

/** Simulated devices, in one process or several: one that makes thousands of connections has no time for those that are there. */
export class Load implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
  }

  /** `port`: another server than the service, with its certificate. */
  static async start(
    service: BenchService,
    made: SimulatedDevices,
    {
      port = service.file.ports.lwm2m,
      processes = 1,
    }: { readonly port?: number; readonly processes?: number } = {},
  ): Promise<Load> {
    const ca = await readFile(service.file.trust, 'utf8');
    const job: LoadJob = { ...made, ca, port };
    const path = join(service.directory, `load-${job.port}.json`);
    await writeFile(path, JSON.stringify(job));
    return new Load(Array.from({ length: processes }, () => forkBare('service-load.ts', [path])));
  }

  /** What is to be connected is shared out among the processes; other orders go to all. */
  async order(order: LoadOrder): Promise<LoadSummary> {
    const answers = await Promise.all(
      this.#children.map((child, at) => ask(child, share(order, at, this.#children.length))),
    );
    const sum = (of: (answer: LoadAnswer) => number) => answers.reduce((all, answer) => all + of(answer), 0);
    const waits = answers.flatMap((answer) => answer.waits).toSorted((one, other) => one - other);
    const part = (of: number) => waits[Math.floor((waits.length - 1) * of)] ?? 0;
    return {
      seconds: Math.max(...answers.map(({ seconds }) => seconds)),
      connected: sum(({ connected }) => connected),
      failed: sum(({ failed }) => failed),
      median: part(0.5),
      p99: part(0.99),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map(end));
  }
}

export interface LoadSummary extends Omit<LoadAnswer, 'waits'> {
  /** Milliseconds from the first try until it was in, for half of the devices and for all but one in a hundred. */
  readonly median: number;
  readonly p99: number;
}

function share(order: LoadOrder, at: number, of: number): LoadOrder {
  if (order.do !== 'connect') return order;
  const { from, to, atOnce } = order;
  const start = (n: number) => from + Math.floor(((to - from) * n) / of);
  return { ...order, from: start(at), to: start(at + 1), atOnce: Math.ceil(atOnce / of) };
}

async function ask(child: ChildProcess, order: LoadOrder): Promise<LoadAnswer> {
  const answered = once(child, 'message');
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the load ended: ${code}`)));
  ended.catch(() => {});
  child.send(order);
  const [answer] = await Promise.race([answered, ended]);
  return answer as LoadAnswer;
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

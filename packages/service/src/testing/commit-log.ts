// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { PrivateCluster } from '../infra/postgres/cluster.ts';

/** One transaction as the write-ahead log of PostgreSQL has it. */
export interface Commit {
  /** Positions in the log, in bytes: of the first that it wrote, and behind its commit. */
  readonly begin: bigint;
  readonly end: bigint;
  /** The ids of the events that it inserted. */
  readonly events: readonly string[];
}

/** A database whose commits can be read from its write-ahead log (logical decoding, PostgreSQL manual §47), by nothing of ours. */
export class WatchedDatabase implements AsyncDisposable {
  readonly url: string;
  readonly client: pg.Client;
  readonly #directory: string;
  readonly #cluster: PrivateCluster;

  private constructor(directory: string, cluster: PrivateCluster, client: pg.Client, url: string) {
    this.#directory = directory;
    this.#cluster = cluster;
    this.client = client;
    this.url = url;
  }

  static async start(): Promise<WatchedDatabase> {
    const directory = await mkdtemp(join(tmpdir(), 'mbl-watched-'));
    await chmod(directory, 0o711);
    const options = { directory: join(directory, 'postgres') };
    {
      await using plain = new PrivateCluster(options);
      const before = new pg.Client(await plain.start());
      await before.connect();
      // Taken up at a start only.
      await before.query('alter system set wal_level = logical');
      await before.end();
    }
    const cluster = new PrivateCluster(options);
    const target = await cluster.start();
    const client = new pg.Client(target);
    await client.connect();
    await client.query("select pg_create_logical_replication_slot('commits', 'test_decoding')");
    const url = `postgres:///${target.database}?host=${encodeURIComponent(target.host)}&user=${target.user}`;
    return new WatchedDatabase(directory, cluster, client, url);
  }

  /** The transactions that inserted events, in the order of their commits; each is given once. */
  async commits(): Promise<Commit[]> {
    const { rows } = await this.client.query<{ lsn: string; data: string }>(
      `select lsn - '0/0' as lsn, left(data, 200) as data
       from pg_logical_slot_get_changes('commits', null, null, 'skip-empty-xacts', '1')
       where data ~ '^(BEGIN|COMMIT|table public.device_events: INSERT)'`,
    );
    const commits: Commit[] = [];
    let begin = 0n;
    let events: string[] = [];
    for (const { lsn, data } of rows) {
      if (data.startsWith('BEGIN')) [begin, events] = [BigInt(lsn), []];
      else if (data.startsWith('COMMIT')) commits.push({ begin, end: BigInt(lsn), events });
      else events.push(/ id\[text\]:'([0-9a-f]{32})'/.exec(data)?.[1] ?? data);
    }
    return commits.filter(({ events }) => events.length > 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.end();
    await this.#cluster[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

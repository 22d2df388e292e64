// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { DatabaseProxy } from './database-proxy.ts';
import { newDatabase } from './service.ts';

/** The ways in which the database of a walk fails its service. */
export const storms = ['breaks', 'refuses', 'loses an answer', 'goes away'] as const;
export type Storm = (typeof storms)[number];

/** A database of a service, and what is done to it. */
export class WalkWeather implements AsyncDisposable {
  readonly #proxy: DatabaseProxy;
  /** Past the proxy: that of the test. */
  readonly database: pg.Client;

  private constructor(proxy: DatabaseProxy, database: pg.Client) {
    this.#proxy = proxy;
    this.database = database;
  }

  static async open(): Promise<WalkWeather> {
    const url = await newDatabase();
    const database = new pg.Client(url);
    await database.connect();
    return new WalkWeather(await DatabaseProxy.start(url), database);
  }

  /** What the service is to be given. */
  get url(): string {
    return this.#proxy.url;
  }

  /** Once the service has made its tables: every second row that is written while `storm.refusing` holds fails as a deadlock does. */
  async prepare(): Promise<void> {
    await this.database.query(`
      create table storm (refusing boolean);
      insert into storm values (false);
      create sequence storm_rows;
      create function refuse() returns trigger language plpgsql as $$
      begin
        if (select refusing from storm) and nextval('storm_rows') % 2 = 0 then
          raise exception 'a storm' using errcode = '40P01';
        end if;
        return new;
      end $$;
      create trigger storm before insert or update on devices for each row execute function refuse();
      create trigger storm before insert or update on device_events for each row execute function refuse();`);
  }

  /** `lastsMs`: how long it goes on. */
  async storm(kind: Storm, lastsMs: number): Promise<void> {
    if (kind === 'refuses') await this.#refuse(true);
    if (kind === 'loses an answer') this.#proxy.loseAnswerToCommit();
    if (kind === 'goes away') this.#proxy.away();
    if (kind === 'breaks') await this.#break();
    await delay(lastsMs);
    if (kind === 'breaks') await this.#break();
    if (kind === 'refuses') await this.#refuse(false);
    if (kind === 'goes away') this.#proxy.back();
  }

  /** No answer is lost any more that nobody waited for. */
  calm(): void {
    this.#proxy.back();
  }

  async #refuse(refusing: boolean): Promise<void> {
    await this.database.query('update storm set refusing = $1', [refusing]);
  }

  async #break(): Promise<void> {
    await this.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.end();
    await this.#proxy[Symbol.asyncDispose]();
  }
}

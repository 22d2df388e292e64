// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import type { Context } from '../../context.ts';
import type { Db } from '../../schema.ts';
import type { ApiKeyRow } from './table.ts';

/** A key as it is shown once. It is also a valid WebSocket subprotocol name, which browsers need (RFC 6455 §11.3.4). */
const keyPattern = /^ak_1[A-Za-z0-9_-]{43}$/;

/** How long a key may be in use before its last use is written down again. */
const useResolutionMs = 60_000;

export interface NewApiKey {
  row: ApiKeyRow;
  key: string;
}

/** The account of this service, made at the first start. */
export async function ensureAccount(db: Db, newId: () => string, now: () => number): Promise<string> {
  const existing = await db.selectFrom('accounts').select('id').orderBy('id').executeTakeFirst();
  if (existing !== undefined) return existing.id;
  const id = newId();
  await db
    .insertInto('accounts')
    .values({ id, created_at: new Date(now()) })
    .execute();
  return id;
}

export class ApiKeys {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  async create(name: string, status: ApiKeyRow['status'] = 'ACTIVE'): Promise<NewApiKey> {
    const key = `ak_1${randomBytes(32).toString('base64url')}`;
    const now = new Date(this.#context.now());
    const row: ApiKeyRow = {
      id: this.#context.newId(),
      account_id: this.#context.accountId,
      name,
      status,
      hash: hashKey(key),
      created_at: now,
      updated_at: now,
      last_used_at: null,
    };
    await this.#context.db.insertInto('api_keys').values(row).execute();
    return { row, key };
  }

  /** The active key that a caller showed, or undefined. The hash is the index, so nothing secret is compared. */
  async verify(key: string): Promise<ApiKeyRow | undefined> {
    if (!keyPattern.test(key)) return undefined;
    const { db, now, accountId } = this.#context;
    const row = await db
      .selectFrom('api_keys')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('hash', '=', hashKey(key))
      .executeTakeFirst();
    if (row?.status !== 'ACTIVE') return undefined;
    if (now() - (row.last_used_at?.getTime() ?? 0) > useResolutionMs) {
      await db
        .updateTable('api_keys')
        .set({ last_used_at: new Date(now()) })
        .where('id', '=', row.id)
        .execute();
    }
    return row;
  }

  /** Gives back `known` while it works; otherwise a new key of that name, and the older ones of the name end. */
  async bootstrap(name: string, known: string | undefined): Promise<string> {
    if (known !== undefined && (await this.verify(known)) !== undefined) return known;
    await this.#context.db
      .deleteFrom('api_keys')
      .where('account_id', '=', this.#context.accountId)
      .where('name', '=', name)
      .execute();
    return (await this.create(name)).key;
  }
}

function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

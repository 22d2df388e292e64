// SPDX-License-Identifier: Apache-2.0
import type { ColumnType, Selectable } from 'kysely';
import type { OrderState } from './plan.ts';

export interface ReleaseOrderTables {
  release_orders: ReleaseOrderTable;
}

/** PostgreSQL's bigint, which the driver gives as text. */
type Bytes = ColumnType<string | null, number | null | undefined, number | null>;

interface ReleaseOrderTable {
  id: ColumnType<string, string, never>;
  account_id: ColumnType<string, string, never>;
  device_id: ColumnType<string, string, never>;
  group_id: ColumnType<string | null, string | null, never>;
  group_order_id: ColumnType<string | null, string | null, never>;
  release: ColumnType<string, string, never>;
  repository: ColumnType<string | null, string | null, never>;
  state: OrderState;
  reason: string;
  sentence: string;
  bytes_fetched: Bytes;
  bytes_to_fetch: Bytes;
  created_at: ColumnType<Date, Date, never>;
  asked_at: ColumnType<Date | null, undefined, Date | null>;
  started_at: ColumnType<Date | null, undefined, Date | null>;
  changed_at: Date;
  ended_at: ColumnType<Date | null, undefined, Date | null>;
  recall: ColumnType<boolean, boolean | undefined, boolean>;
}

export type ReleaseOrderRow = Selectable<ReleaseOrderTable>;

// SPDX-License-Identifier: Apache-2.0
import type { ColumnType, Generated, Selectable } from 'kysely';

/** Which listener refused. */
export type Door = 'est' | 'lwm2m';

export interface DenialTables {
  denials: DenialTable;
}

interface DenialTable {
  id: string;
  account_id: string;
  endpoint_name: string;
  device_id: string | null;
  door: Door;
  reason: string;
  description: string;
  fingerprint: string;
  remote_address: string;
  created_at: Date;
  last_at: Date;
  minute: ColumnType<string, number, never>;
  times: Generated<number>;
}

export type DenialRow = Selectable<DenialTable>;

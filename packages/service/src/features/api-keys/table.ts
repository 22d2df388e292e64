// SPDX-License-Identifier: Apache-2.0

export interface ApiKeyTables {
  accounts: { id: string; created_at: Date };
  api_keys: ApiKeyRow;
}

export interface ApiKeyRow {
  id: string;
  account_id: string;
  name: string;
  status: 'ACTIVE' | 'INACTIVE';
  hash: string;
  created_at: Date;
  updated_at: Date;
  last_used_at: Date | null;
}

// SPDX-License-Identifier: Apache-2.0
import type { ColumnType } from 'kysely';

/** Which resources of which devices to observe, without naming them one by one. A final `*` stands for anything. */
export interface Presubscription {
  'endpoint-name'?: string | undefined;
  'endpoint-type'?: string | undefined;
  'resource-path'?: string[] | undefined;
}

export interface SubscriptionTables {
  subscriptions: { device_id: string; path: string; created_at: Date; channels: string[] | null };
  presubscriptions: { account_id: string; entries: ColumnType<Presubscription[], string, string> };
}

// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { writeAtomic } from '../common/files.ts';

/** What the server may write and a restart must not forget. */
export interface ServerSettings {
  /** Seconds. */
  readonly lifetime: number;
}

export const defaultSettings: ServerSettings = { lifetime: 3600 };

const fileName = 'server.json';
const maxBytes = 4096;

/** The settings kept in the identity folder; the defaults for what is missing or damaged. */
export async function loadSettings(dir: string): Promise<ServerSettings> {
  const text = await readText(join(dir, fileName), maxBytes).catch(() => undefined);
  try {
    const { lifetime } = JSON.parse(text ?? '{}') as { lifetime?: unknown };
    return isLifetime(lifetime) ? { lifetime } : defaultSettings;
  } catch {
    return defaultSettings;
  }
}

/** Seconds; below a minute would be nothing but updates. */
export const shortestLifetime = 60;
export const longestLifetime = 2 ** 31 - 1;

/** LwM2M Core 1.1 §6.2.1. */
export function isLifetime(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= shortestLifetime && Number(value) <= longestLifetime;
}

export async function saveSettings(dir: string, settings: ServerSettings): Promise<void> {
  await writeAtomic(join(dir, fileName), `${JSON.stringify({ version: 1, ...settings })}\n`);
}

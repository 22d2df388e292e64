// SPDX-License-Identifier: Apache-2.0

/** The system's error code ("ENOENT") of something thrown, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

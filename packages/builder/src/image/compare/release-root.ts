// SPDX-License-Identifier: Apache-2.0

/**
 * The text of a root for releases (TUF 1.0.34 §4.3) with its keys, signatures and term taken out: what is left is who may decide what, and how many
 * of them must. What is no such file is given back as it is.
 */
export function withoutReleaseKeys(text: string): string {
  try {
    const { signed } = JSON.parse(text) as { signed: Record<string, unknown> };
    const roles = Object.entries(
      signed['roles'] as Record<string, { keyids: unknown[]; threshold: unknown }>,
    );
    return JSON.stringify({
      ...signed,
      expires: '<term>',
      keys: Object.keys(signed['keys'] as object).length,
      roles: roles.map(([name, { keyids, threshold, ...rest }]) => [name, keyids.length, threshold, rest]),
    });
  } catch {
    return text;
  }
}

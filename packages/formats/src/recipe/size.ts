// SPDX-License-Identifier: Apache-2.0

const units: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

export const sizeExample = '"48 MiB"';

/** Bytes of a size as people write it ("48 MiB", "130 MB"), or undefined when it is not one. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,12}) ?([kKMGT]?i?B)$/.exec(text);
  const unit = units[match?.[2] ?? ''];
  if (match === null || unit === undefined) return undefined;
  const bytes = Number(match[1]) * unit;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** A size as people write it, exact: in the unit that makes the number the smallest. */
export function formatSize(bytes: number): string {
  const whole = Object.entries(units).filter(([, size]) => bytes >= size && bytes % size === 0);
  const [unit, size] = whole.reduce((best, each) => (each[1] > best[1] ? each : best), ['B', 1]);
  return `${bytes / size} ${unit}`;
}

// SPDX-License-Identifier: Apache-2.0

/** One event of the service's log: what happened, and facts a program may want. Never a secret. */
export interface Log {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** A log of JSON lines: `{"time":"…Z","level":"info","message":"…",…}`. */
export function jsonLog(write: (line: string) => void, now: () => number = Date.now): Log {
  const at = (level: string) => (message: string, fields?: Record<string, unknown>) => {
    write(
      `${JSON.stringify({ time: new Date(now()).toISOString(), level, message, ...fields }, plainError)}\n`,
    );
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };

function plainError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { code } = value as { code?: unknown };
  return { name: value.name, message: value.message, code, stack: value.stack, cause: value.cause };
}

// SPDX-License-Identifier: Apache-2.0

export type LogField = string | number | boolean | undefined;

/** One line for each event: a stable phrase, then `key=value`. Tests and operators search for the phrase. */
export interface Log {
  info(phrase: string, fields?: Readonly<Record<string, LogField>>): void;
  warning(phrase: string, fields?: Readonly<Record<string, LogField>>): void;
  error(phrase: string, fields?: Readonly<Record<string, LogField>>): void;
}

/** Levels of syslog, as sd-daemon(3) writes them. */
const levels = { info: 6, warning: 4, error: 3 } as const;

/** `write` gets a line with its end. `prefixed`: begin with `<level>`, which the journal takes off. */
export function createLog(write: (line: string) => void, prefixed = false): Log {
  const at =
    (level: keyof typeof levels): Log['info'] =>
    (phrase, fields = {}) => {
      const pairs = Object.entries(fields).flatMap(([key, value]) =>
        value === undefined ? [] : [`${key}=${quote(value)}`],
      );
      write(`${prefixed ? `<${levels[level]}>` : ''}${[phrase, ...pairs].join(' ')}\n`);
    };
  return { info: at('info'), warning: at('warning'), error: at('error') };
}

/** What came from outside must not begin a line of its own. */
function quote(value: string | number | boolean): string {
  const text = String(value);
  return /^[\w.:/+@-]+$/.test(text) ? text : JSON.stringify(text.slice(0, 400));
}

/** To the standard output, which the journal reads. */
export function journalLog(): Log {
  return createLog((line) => process.stdout.write(line), process.env['JOURNAL_STREAM'] !== undefined);
}

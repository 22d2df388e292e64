// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import type { Source } from '../tuf/client.ts';

/** How long a server may say nothing: before the answer, and between two pieces of it. */
const silence = 30_000;

/** A repository on a web server. Throws `release/unreachable`. */
export function httpSource(base: string, signal: AbortSignal): Source {
  const start = base.endsWith('/') ? base : `${base}/`;
  return {
    async open(path) {
      const quiet = new AbortController();
      let timer = setTimeout(() => quiet.abort(), silence);
      const fail = (cause: unknown): Error => {
        if (signal.aborted) return signal.reason instanceof Error ? signal.reason : new Error('aborted');
        const why = quiet.signal.aborted ? `it was silent for ${silence / 1000} s` : reasonOf(cause);
        return new MblError('release/unreachable', `${start}${path} cannot be fetched: ${why}.`, {
          cause,
          remedy: 'Look whether the server runs and the address is right.',
        });
      };
      let response: Response;
      try {
        response = await fetch(new URL(path, start), { signal: AbortSignal.any([signal, quiet.signal]) });
      } catch (cause) {
        clearTimeout(timer);
        throw fail(cause);
      }
      if (!response.ok || response.body === null) {
        clearTimeout(timer);
        await response.body?.cancel();
        // TUF 1.0.34 §5.3.3: there is no such file. Some servers forbid what they do not have.
        if (response.status === 404 || response.status === 403) return undefined;
        throw fail(new Error(`the server answered ${response.status}`));
      }
      const { body } = response;
      return (async function* pieces() {
        try {
          for await (const piece of body) {
            clearTimeout(timer);
            yield piece;
            timer = setTimeout(() => quiet.abort(), silence);
          }
        } catch (cause) {
          throw fail(cause);
        } finally {
          clearTimeout(timer);
        }
      })();
    },
  };
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}

// SPDX-License-Identifier: Apache-2.0
import { findMirrors } from '@mbl/builder';
import type { Diagnosis } from './finding.ts';

const patience = 15_000;

/** Asks the Debian mirror for the release that images are built from. */
export async function checkMirror(
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const what = 'Debian mirror';
  const remedy = 'Check the network, or name another mirror: MBL_DEBIAN_MIRROR=http://mirror.example/debian';
  let main: string;
  try {
    ({ main } = await findMirrors({ ...environment }));
  } catch (error) {
    return { what, state: 'bad', found: error instanceof Error ? error.message : String(error), remedy };
  }
  if (!/^https?:/.test(main)) return { what, state: 'good', found: main };
  try {
    const url = `${main}/dists/trixie/InRelease`;
    const answer = await fetch(url, {
      method: 'HEAD',
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
    });
    if (answer.ok) return { what, state: 'good', found: main };
    return { what, state: 'bad', found: `${url} answers ${answer.status}`, remedy };
  } catch (error) {
    signal.throwIfAborted();
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    // A build that has everything in its cache does without.
    return { what, state: 'warning', found: `${main} cannot be reached: ${cause}`, remedy };
  }
}

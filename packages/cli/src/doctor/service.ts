// SPDX-License-Identifier: Apache-2.0
import type { ServiceFile } from '@mbl/formats';
import { findService } from '../workbench/service.ts';
import type { Workspace } from '../workspace.ts';
import type { Diagnosis } from './finding.ts';

const patienceMs = 10_000;

/** Asks the workspace's service, where one runs, whether it is well: it knows since when its database is away. */
export async function checkService(workspace: Workspace, signal: AbortSignal): Promise<Diagnosis[]> {
  const service = await findService(workspace);
  return service === undefined ? [] : [await askHealth(service, signal)];
}

/** What `GET /v3/health` says. */
export async function askHealth(
  { http }: Pick<ServiceFile, 'http'>,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const what = 'service';
  try {
    const answer = await fetch(`${http}/v3/health`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    });
    const health = (await answer.json()) as { status?: string; away_since?: string };
    if (answer.ok) return { what, state: 'good', found: `it runs at ${http}, and its database answers` };
    if (health.status === 'database-away') {
      return {
        what,
        state: 'bad',
        found: `its database has been away since ${health.away_since}; devices that are connected stay, and nothing is lost while it waits`,
        remedy:
          'See why: ./mbl logs service. It waits for two minutes and then ends; start it again, with its database: ./mbl up',
      };
    }
    return {
      what,
      state: 'bad',
      found: `it answers with status ${answer.status}`,
      remedy: 'See why: ./mbl logs service',
    };
  } catch (error) {
    signal.throwIfAborted();
    const found =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    return {
      what,
      state: 'bad',
      found: `it does not answer: ${found}`,
      remedy: 'See why: ./mbl logs service',
    };
  }
}

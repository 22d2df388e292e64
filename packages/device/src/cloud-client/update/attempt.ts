// SPDX-License-Identifier: Apache-2.0
import type { AppReason, UpdateReason } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Log } from '../../common/log.ts';
import type { InstallPlan, MetadataFile } from '../../platform/update.ts';
import type { ReleasePlace } from './repository.ts';

/** What the platform makes of a release of the operating system, or of apps. */
export type Judgement = Omit<InstallPlan, 'reason'> & { readonly reason: AppReason | UpdateReason | '' };

export interface AttemptOptions {
  /** Asks the platform what it makes of the release, by the metadata that there is so far. */
  readonly check: (metadata: readonly MetadataFile[]) => Promise<Judgement>;
  /** Asks the platform what it makes of what was fetched; '' where it is what was signed. */
  readonly verify: () => Promise<string>;
  /** False: what is fetched are files, which end where their data does. */
  readonly tree?: boolean;
  readonly log: Log;
  /** Bytes on the wire for the whole update; 0: no limit. */
  readonly budget: number;
  /** Bytes of metadata that came in this process, over all attempts. */
  readonly metadataSpent: (more: number) => number;
  readonly tell: (status: {
    readonly release?: string;
    readonly detail?: string;
    readonly reason?: '';
    readonly fetched?: number;
    readonly toFetch?: number;
  }) => void;
  /** Told a number that grows with what is there for good. */
  readonly moved: (progress: number) => void;
  readonly signal: AbortSignal;
}

/** A release may rotate its root key that often since the device was made: each step is a file. */
const mostMetadataFiles = 256;

/** Beside the bytes of a small file: headers and TLS records, as block sync counts them. */
const requestBytes = 768;

/**
 * Brings a release to where the platform wants it. Returns the metadata that vouches for it, and who gave wrong blocks, '' where nobody did. Throws `device/update-refused` with its
 * reason, `device/not-proved`, `device/over-budget`, what fetching and the platform throw.
 */
export async function bringRelease(
  place: ReleasePlace,
  options: AttemptOptions,
): Promise<{ readonly metadata: readonly MetadataFile[]; readonly liars: string }> {
  const { log, tell, signal, tree = true } = options;
  const { plan, metadata } = await judgeRelease(place, options);
  tell({ release: plan.name, reason: '', detail: '' });
  const liars = new Map<string, number>();
  let spent = options.metadataSpent(0);
  let before = mostMetadataFiles;
  for (const [number, component] of plan.components.entries()) {
    log.info('update transfers', { release: plan.name, component: component.name });
    const isLast = number === plan.components.length - 1;
    let [groupsOfComponent, percent] = [0, -1];
    const report = await withinBudget(options.budget, spent, (budget) =>
      place.bring(component, {
        ...(budget === undefined ? {} : { budget }),
        tree,
        progress: ({ done, groups, spent: bytes, expected }) => {
          groupsOfComponent = groups;
          options.moved(before + done);
          const now = Math.floor((100 * done) / groups);
          if (now === percent) return;
          percent = now;
          tell({
            detail: `${component.name}: ${percent}%`,
            fetched: spent + bytes,
            ...(isLast && { toFetch: spent + expected }),
          });
        },
        signal,
      }),
    );
    before += groupsOfComponent;
    spent += report.spent;
    tell({ fetched: spent, ...(isLast && { toFetch: spent }) });
    const { kept, requests, copied } = report;
    log.info('update transferred', {
      component: component.name,
      bytes: report.spent,
      requests,
      kept,
      copied: Object.entries(copied)
        .map(([name, blocks]) => `${name}=${blocks}`)
        .join(','),
    });
    for (const { message } of report.badMaps) log.warning('update without a copy map', { reason: message });
    for (const { name, blocks } of report.wrong) liars.set(name, (liars.get(name) ?? 0) + blocks);
  }
  for (const [source, blocks] of liars) log.warning('update source wrong', { source, blocks });
  signal.throwIfAborted();
  const named = [...liars].map(([name, blocks]) => `${name} gave ${blocks} wrong blocks`).join(', ');
  const fault = await options.verify();
  if (fault !== '') throw refused('update/slot-mismatch', named === '' ? fault : `${fault}; ${named}`);
  signal.throwIfAborted();
  return { metadata, liars: named };
}

/** Fetches the metadata, file by file, until the platform has said what it makes of the release. Throws as `bringRelease` does. */
export async function judgeRelease(
  place: ReleasePlace,
  {
    check,
    budget,
    metadataSpent,
    moved,
    tell,
    signal,
  }: Pick<AttemptOptions, 'check' | 'budget' | 'metadataSpent' | 'moved' | 'tell' | 'signal'>,
): Promise<{ plan: Judgement; metadata: MetadataFile[] }> {
  let metadata: MetadataFile[] = [];
  let isAnew = false;
  for (;;) {
    const plan = await check(metadata);
    if (plan.reason === 'update/metadata-rolled-back' && !isAnew) {
      // The board has seen newer metadata, maybe since this was fetched: of a release of another team.
      isAnew = true;
      metadata = [];
      continue;
    }
    assertAccepted(plan);
    if (plan.missing === '') return { plan, metadata };
    if (metadata.length === mostMetadataFiles)
      throw new MblError('device/metadata-endless', 'the metadata of the release has no end');
    const spent = metadataSpent(requestBytes);
    const left = budget === 0 ? Infinity : budget - spent;
    if (left <= 0) throw overBudget('the metadata alone needs more', budget);
    const content = await place.metadata(plan.missing, left, signal);
    metadata.push({ name: plan.missing, content });
    tell({ fetched: metadataSpent(Buffer.byteLength(content)) });
    moved(metadata.length);
  }
}

async function withinBudget<T>(
  budget: number,
  spent: number,
  bring: (budget: number | undefined) => Promise<T>,
): Promise<T> {
  if (budget === 0) return await bring(undefined);
  try {
    return await bring(Math.max(0, budget - spent));
  } catch (error) {
    if (!(error instanceof MblError) || error.code !== 'blocks/over-budget') throw error;
    const needed = spent + Number(error.details?.['needed']);
    throw overBudget(`the update needs at least ${needed} bytes`, budget, error);
  }
}

function overBudget(what: string, budget: number, cause?: unknown): MblError {
  return new MblError('device/over-budget', `${what}, and its budget is ${budget}`, {
    cause,
    remedy: 'Raise the budget, or order the update where bytes cost nothing; what came is kept.',
  });
}

/** Throws for a release that the board does not take: `device/not-proved` where it may take it later, else `device/update-refused`. */
export function assertAccepted({ refused: why, reason }: Pick<Judgement, 'refused' | 'reason'>): void {
  if (why === '') return;
  if (reason === 'update/not-proved') throw new MblError('device/not-proved', why);
  throw refused(reason === '' ? 'update/failed' : reason, why);
}

function refused(reason: AppReason | UpdateReason, why: string): MblError {
  return new MblError('device/update-refused', why, { details: { reason } });
}

// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { build, type BuildResult, formatLockChange, type LockFileChange, type TaskEvent } from '@mbl/builder';
import { initKeys, loadKeys } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import type { ImageOptions, KeyOptions } from '../parameters.ts';
import type { Report } from '../progress.ts';
import { keysFolder, readVersion } from '../workspace.ts';
import { releaseRoot } from './releases.ts';

/** What only `mbl build` lets one choose. */
export interface BuildChoices {
  readonly updateLock?: boolean;
  readonly archive?: string | undefined;
  readonly fromArchive?: string | undefined;
  readonly jobs?: number | undefined;
}

/** A build, with what it changed in lock files. */
export interface ImageBuild extends BuildResult {
  readonly lockChanges: readonly LockFileChange[];
}

/** Builds the image, or finds that it is built; one line of progress for the whole. */
export async function buildImage(cli: Cli, options: ImageOptions & BuildChoices): Promise<ImageBuild> {
  const { output, workspace, signal, environment } = cli;
  await ensureKeys(cli, options);
  const keys = await loadKeys(keysFolder(workspace, options.keys), { environment: { ...environment } });
  // A set of before releases has none; a team's own keys are not used without being asked for.
  if (keys.profile === 'development') await releaseRoot(keys);
  const lockChanges: LockFileChange[] = [];
  const built = output.progress.phase(
    `build ${options.machine} ${options.image}`,
    async (report) =>
      await build({
        repository: workspace.root,
        machine: options.machine,
        image: options.image,
        layers: options.layer,
        keys,
        cache: workspace.cache,
        privateCache: join(workspace.state, 'build-cache'),
        output: workspace.build,
        version: readVersion(workspace),
        updateLock: options.updateLock === true,
        archive: options.archive,
        fromArchive: options.fromArchive,
        jobs: options.jobs ?? availableParallelism(),
        signal,
        onEvent: followTasks(report),
        onLockChange: (change) => lockChanges.push(change),
        onPhase: (what) => report(undefined, what),
      }),
    ({ tasks }) => {
      const ran = tasks.filter(({ cached }) => !cached).length;
      return { note: ran === 0 ? 'nothing changed' : `${ran} of ${tasks.length} tasks ran` };
    },
  );
  try {
    return { ...(await built), lockChanges };
  } finally {
    sayLockChanges(cli, lockChanges);
  }
}

/** Locks are in version control: whoever builds is told what to commit, whichever verb it was that built, and also when it failed. */
function sayLockChanges({ output, workspace }: Cli, changes: readonly LockFileChange[]): void {
  for (const [i, change] of changes.entries()) {
    if (change.file !== changes[i - 1]?.file)
      output.line(`${relative(workspace.root, change.file)} has changed:`);
    output.line(`  ${formatLockChange(change)}`);
  }
}

/** Makes the development key set, unless there is one or another one was named. */
async function ensureKeys(cli: Cli, { keys }: KeyOptions): Promise<void> {
  if (keys !== undefined) return;
  const folder = keysFolder(cli.workspace, keys);
  await cli.output.progress.phase(
    'make development keys',
    async () =>
      await initKeys(folder, { profile: 'development' }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === 'keys/exists') return false;
          throw error;
        },
      ),
    (made) => (made ? { note: folder } : { quiet: true }),
  );
}

/** Turns what the tasks say into one fraction and the names of those that run. */
export function followTasks(report: Report): (event: TaskEvent) => void {
  const running = new Map<string, { title: string; fraction: number; what: string | undefined }>();
  let finished = 0;
  let total: number | undefined;
  return (event) => {
    const { task, title } = event;
    if (event.kind === 'end') {
      ({ finished, total } = event);
      running.delete(task);
    } else if (event.kind === 'progress') {
      running.set(task, { title, fraction: event.fraction ?? 0, what: event.what });
    } else if (event.kind === 'start' || event.kind === 'waiting') {
      running.set(task, {
        title,
        fraction: 0,
        what: event.kind === 'waiting' ? `waiting for process ${event.pid}` : undefined,
      });
    }
    const parts = [...running.values()];
    const done = finished + parts.reduce((sum, { fraction }) => sum + fraction, 0);
    report(
      total === undefined ? undefined : done / total,
      parts.map((part) => (part.what === undefined ? part.title : `${part.title}: ${part.what}`)).join(', '),
    );
  };
}

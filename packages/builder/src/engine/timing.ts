// SPDX-License-Identifier: Apache-2.0
import type { RunReport } from './run-tasks.ts';

/** A phase of a build: one task that ran. */
export interface Phase {
  readonly task: string;
  readonly title: string;
  readonly seconds: number;
  /** Part of the work of all tasks that ran, from 0 to 1. */
  readonly share: number;
}

/** Where a build's time went. */
export interface Timing {
  /** From start to end. Less than the phases together when tasks ran side by side. */
  readonly seconds: number;
  /** The longest first. */
  readonly phases: readonly Phase[];
  /** How many tasks came from the cache. */
  readonly cached: number;
}

export function timingOf(report: RunReport): Timing {
  const ran = report.tasks.filter((task) => !task.cached);
  const work = ran.reduce((sum, { seconds }) => sum + seconds, 0);
  const phases = ran.map(({ task, title, seconds }) => ({
    task,
    title,
    seconds,
    share: work === 0 ? 0 : seconds / work,
  }));
  return {
    seconds: report.seconds,
    phases: phases.toSorted((a, b) => b.seconds - a.seconds || (a.task < b.task ? -1 : 1)),
    cached: report.tasks.length - ran.length,
  };
}

/** The timing as lines for a person; phases below 1 % are summed up. */
export function formatTiming({ seconds, phases, cached }: Timing): string[] {
  const row = (time: number, share: number, what: string): string =>
    `${time.toFixed(1).padStart(7)} s  ${`${Math.round(share * 100)} %`.padStart(5)}  ${what}`;
  const shown = phases.filter(({ share }) => share >= 0.01);
  const small = phases.filter(({ share }) => share < 0.01);
  const lines = shown.map((phase) => row(phase.seconds, phase.share, phase.title));
  if (small.length > 0) {
    const sum = small.reduce(
      (all, phase) => ({ seconds: all.seconds + phase.seconds, share: all.share + phase.share }),
      {
        seconds: 0,
        share: 0,
      },
    );
    lines.push(row(sum.seconds, sum.share, `${small.length} short ${small.length === 1 ? 'task' : 'tasks'}`));
  }
  const ran = `${phases.length} ${phases.length === 1 ? 'task' : 'tasks'} ran, ${cached} from the cache`;
  return [...lines, `${seconds.toFixed(1).padStart(7)} s         from start to end: ${ran}`];
}

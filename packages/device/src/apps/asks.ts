// SPDX-License-Identifier: Apache-2.0
import {
  type AppAnswer,
  type AppAsk,
  type AppLogLine,
  maxAppAnswer,
  mostLogLines,
  mostRunOutput,
  readRecord,
} from '@mbl/formats';
import type { Written } from '../common/output.ts';
import type { Effects } from './effects.ts';
import { type AppPaths, systemFiles, unitOf } from './places.ts';
import { plainSentence } from './state.ts';
import { diskLimits } from './unit.ts';

export interface AskOptions {
  readonly effects: Pick<Effects, 'read' | 'write' | 'remove' | 'size'>;
  readonly paths: AppPaths;
  readonly run: (
    command: string,
    args: readonly string[],
    limits: { readonly deadlineMs: number; readonly most: number },
  ) => Promise<Written>;
}

const systemctlMs = 600_000;
const mostConfig = 4 << 20;
/** Bytes a second that a program reads and writes which is run in an app's container. */
const runDisk = { read: 20_000_000, write: 5_000_000 };

/** Does what is asked for once. Undefined: `mbl-apps` answers, when it has done it. Throws nothing: what fails is the answer. */
export async function answer(ask: AppAsk, options: AskOptions): Promise<AppAnswer | undefined> {
  try {
    return await act(ask, options);
  } catch (error) {
    return { id: ask.id, error: plainSentence(error instanceof Error ? error.message : String(error)) };
  }
}

async function act(ask: AppAsk, options: AskOptions): Promise<AppAnswer | undefined> {
  const { id, action, name } = ask;
  const { effects, paths, run } = options;
  if (action === 'rollback') {
    await effects.write(paths.rollback(name), `${id}\n`, { mode: 0o600 });
    await run('systemctl', ['start', '--no-block', 'mbl-apps.service'], {
      deadlineMs: systemctlMs,
      most: 1024,
    });
    return undefined;
  }
  if (action !== 'log' && (await effects.size(paths.begun(name))) === undefined)
    return { id, error: `there is no app ${name}` };
  const systemctl = async (verb: string): Promise<AppAnswer> => {
    const { code, output } = await run('systemctl', [verb, unitOf(name)], {
      deadlineMs: systemctlMs,
      most: 1024,
    });
    const why = output.trim().split('\n')[0] ?? '';
    return { id, error: code === 0 ? '' : plainSentence(why === '' ? `${verb} took too long` : why) };
  };
  switch (action) {
    case 'stop':
      // First: an app that is to be stopped stays so over a restart of the device that comes now.
      await effects.write(paths.stoppedApp(name), '\n', { mode: 0o600 });
      return await systemctl('stop');
    case 'start':
    case 'restart':
      await effects.remove(paths.stoppedApp(name));
      return await systemctl(action);
    case 'log':
      return await readLog(ask, options);
    case 'run':
      return await runInside(ask, options);
  }
}

/** Lines of the app's own processes, the oldest first; as many as fit into an answer. */
async function readLog(ask: AppAsk, { run }: AskOptions): Promise<AppAnswer> {
  const { id, name, cursor, lines = mostLogLines } = ask;
  const after =
    cursor === undefined ? [`--lines=${lines}`] : [`--after-cursor=${cursor}`, `--lines=+${lines}`];
  const args = ['--output=json', '--no-pager', '--quiet', ...after, `_SYSTEMD_UNIT=${unitOf(name)}`];
  const { code, output } = await run('journalctl', args, { deadlineMs: 60_000, most: 4 << 20 });
  if (code !== 0) return { id, error: plainSentence(`journalctl: ${output.trim().split('\n')[0] ?? ''}`) };
  const found = output.split('\n').flatMap((line) => logLine(line) ?? []);
  // Whoever follows goes on behind the last one that fits; whoever looks once wants the newest.
  const kept = cursor === undefined ? fitting(found.toReversed()).toReversed() : fitting(found);
  const last = kept.at(-1)?.cursor ?? cursor;
  return {
    id,
    error: '',
    ...(last === undefined ? {} : { cursor: last }),
    log: kept.map(({ time, text }) => ({ time, text })),
  };
}

type FoundLine = AppLogLine & { readonly cursor: string };

const mostText = 4096;

/** A line of `journalctl --output=json` (systemd's "Journal JSON Format"): text is a string, or a list of bytes where it is no UTF-8. */
function logLine(line: string): FoundLine | undefined {
  try {
    const json = readRecord(line, { path: 'journal', code: 'device/bad-journal', most: 1 << 20 });
    const time = Math.floor(Number(json.string('__REALTIME_TIMESTAMP')) / 1000);
    const cursor = json.string('__CURSOR', undefined, 512);
    const message: unknown = (JSON.parse(line) as Record<string, unknown>)['MESSAGE'];
    const text = Array.isArray(message) ? Buffer.from(message as number[]).toString('utf8') : message;
    return { time, cursor, text: (typeof text === 'string' ? text : '').slice(0, mostText) };
  } catch {
    return undefined;
  }
}

function fitting(lines: readonly FoundLine[]): FoundLine[] {
  let left = maxAppAnswer - 2048;
  const kept: FoundLine[] = [];
  for (const line of lines.slice(0, mostLogLines)) {
    left -= JSON.stringify({ time: line.time, text: line.text }).length + 1;
    if (left < 0) break;
    kept.push(line);
  }
  return kept;
}

/**
 * A program in the container of the app, with its rights and within limits of its own. A unit ends what it started when the time is over:
 * nobody else would.
 */
async function runInside(
  { id, name, command = [], timeout = 30 }: AppAsk,
  { effects, paths, run }: AskOptions,
): Promise<AppAnswer> {
  const config = await effects.read(paths.config(name), mostConfig);
  const { process, linux } = JSON.parse(config ?? '{}') as {
    process?: object;
    linux?: { devices?: readonly { path: string }[] };
  };
  if (process === undefined) return { id, error: `there is no app ${name}` };
  const unit = await run('systemctl', ['is-active', unitOf(name)], { deadlineMs: 60_000, most: 1024 });
  if (unit.code !== 0) return { id, error: `${name} does not run: a program needs its container` };
  const file = `${paths.bundle(name)}/run-${id}.json`;
  await effects.write(file, `${JSON.stringify({ ...process, args: command })}\n`, { mode: 0o600 });
  try {
    const { code, output } = await run(
      'systemd-run',
      [
        '--pipe',
        '--wait',
        '--collect',
        '--quiet',
        `--unit=mbl-app-run-${id}`,
        '--slice=mbl-apps.slice',
        `--property=RuntimeMaxSec=${Math.max(timeout, 1)}`,
        '--property=MemoryMax=64M',
        '--property=MemorySwapMax=0',
        '--property=TasksMax=64',
        '--property=CPUQuota=100%',
        ...diskLimits(paths, runDisk).map((line) => `--property=${line}`),
        '--property=DevicePolicy=closed',
        ...(linux?.devices ?? []).map(({ path }) => `--property=DeviceAllow=${path} rw`),
        systemFiles.crun,
        '--cgroup-manager=disabled',
        'exec',
        '--process',
        file,
        name,
      ],
      { deadlineMs: (timeout + 60) * 1000, most: mostRunOutput },
    );
    const text = fittingOutput(output);
    if (code === undefined) return { id, error: `${command[0]} did not end in ${timeout} s`, output: text };
    return { id, error: '', exit: code, output: text };
  } finally {
    await effects.remove(file);
  }
}

/** Bytes that are no text take more room in an answer than they had. */
function fittingOutput(output: string): string {
  let text = output.slice(0, mostRunOutput);
  while (JSON.stringify(text).length > maxAppAnswer - 2048) text = text.slice(0, Math.floor(text.length / 2));
  return text;
}

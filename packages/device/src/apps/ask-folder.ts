// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AppAnswer, maxAppAsk, parseAppAsk } from '@mbl/formats';
import { removeTree } from '../common/remove-tree.ts';
import { answer, type AskOptions } from './asks.ts';
import { plainSentence } from './state.ts';

/** Answers that are kept; and asks that are carried out at a time: whoever asks for more waits. */
const mostAnswers = 8;
const mostAtOnce = 4;
const pauseMs = 200;

/**
 * Takes the asks out of their folder and answers each, until there is none: one that takes long keeps no other one waiting. Names that begin
 * with a dot are files that somebody is still writing.
 */
export async function answerAll(
  options: AskOptions & { readonly say: (line: string) => void },
): Promise<void> {
  const { effects, paths, say } = options;
  const busy = new Set<Promise<void>>();
  // Whoever owns the folder above may put a link there: what is taken out of a folder is removed, as root.
  await using folder = await openFolder(paths.asks);
  if (folder === undefined) return await removeTree(paths.asks);
  const asks = `/proc/self/fd/${folder.fd}`;
  for (;;) {
    const names = (await readdir(asks)).filter((name) => !name.startsWith('.'));
    if (names.length === 0 && busy.size === 0) return;
    for (const name of names.slice(0, mostAtOnce - busy.size)) {
      const path = join(asks, name);
      const text = await effects.read(path, maxAppAsk);
      await removeTree(path);
      const job = take(text ?? '').finally(() => busy.delete(job));
      busy.add(job);
    }
    await Promise.race([...busy, sleep(pauseMs)]);
  }

  async function take(text: string): Promise<void> {
    try {
      const ask = parseAppAsk(text);
      say(`${ask.action} ${ask.name}`);
      const found = await answer(ask, options);
      if (found !== undefined) await give(found);
    } catch (error) {
      say(`refused: ${plainSentence(error instanceof Error ? error.message : String(error))}`);
    }
  }

  async function give(found: AppAnswer): Promise<void> {
    await effects.write(paths.answer(found.id), `${JSON.stringify(found)}\n`, { mode: 0o644 });
    await forgetOld(paths.answers);
  }
}

async function openFolder(path: string) {
  const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
  return await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(() => undefined);
}

/** Of the answers the newest stay. */
async function forgetOld(folder: string): Promise<void> {
  const found: { path: string; time: number }[] = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const entry = await lstat(path).catch(() => undefined);
    if (entry !== undefined && name.endsWith('.json')) found.push({ path, time: entry.mtimeMs });
  }
  for (const { path } of found.toSorted((a, b) => b.time - a.time).slice(mostAnswers)) await removeTree(path);
}

// SPDX-License-Identifier: Apache-2.0
import { constants, lstat, open, opendir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from '@mbl/formats';
import { isErrno } from '../common/files.ts';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { list, type ShapeOf, struct, text, uint32 } from './shapes.ts';

/** `slot`: the one that was started, `a` or `b`, or '' where nobody knows. `attempts`: how often it was tried since it last proved good. */
const boot = struct({ slot: text, attempts: uint32 });

/** What the board had to do to come back. `id` is `<kind>-<8 hex>`; `detail` is printable ASCII. */
const incident = struct({ id: text, kind: text, detail: text });

export type Boot = ShapeOf<typeof boot>;
export type Incident = ShapeOf<typeof incident>;

export const boardMethods = {
  GetBoot: method({}, boot),
  GetIncidents: method({}, list(incident)),
  ForgetIncidents: method({ ids: list(text) }),
};

/** Of more incidents the first by name are told, and the others when those are forgotten. */
const mostIncidents = 64;
/** Names in the folder that are looked at: it is on a partition that nobody signed. */
const mostNames = 4096;
const longestDetail = 200;
const incidentId = /^([a-z][a-z-]{0,31})-[0-9a-f]{8}$/;

export function readBoard({ bootFile, incidents }: SystemOptions): Implementation<typeof boardMethods> {
  return {
    getBoot: async () => parseBoot((await readText(bootFile, 4096)) ?? ''),
    async getIncidents() {
      const found: Incident[] = [];
      for (const id of await incidentIds(incidents)) {
        const detail = await readDetail(join(incidents, id));
        if (detail === undefined) continue;
        found.push({ id, kind: incidentId.exec(id)?.[1] ?? '', detail });
        if (found.length === mostIncidents) break;
      }
      return found;
    },
    // It may come back with a power cut: whoever was told it knows it by its id.
    async forgetIncidents({ ids }) {
      for (const id of ids) {
        if (!incidentId.test(id)) continue;
        await unlink(join(incidents, id)).catch((cause: unknown) => {
          if (!isErrno(cause, 'ENOENT')) throw cause;
        });
      }
    },
  };
}

export function parseBoot(text: string): Boot {
  return {
    slot: /^slot=([ab])$/m.exec(text)?.[1] ?? '',
    attempts: Number(/^attempts=(\d{1,4})$/m.exec(text)?.[1] ?? 0),
  };
}

async function incidentIds(folder: string): Promise<string[]> {
  const ids: string[] = [];
  try {
    let names = 0;
    for await (const { name } of await opendir(folder)) {
      if (incidentId.test(name)) ids.push(name);
      if (++names === mostNames) break;
    }
  } catch (cause) {
    if (!isErrno(cause, 'ENOENT')) throw cause;
  }
  return ids.toSorted();
}

/** The first line of a file; undefined where it is none: a link would be followed, a pipe waited for. */
async function readDetail(path: string): Promise<string | undefined> {
  try {
    if (!(await lstat(path)).isFile()) return undefined;
    const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
    await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(longestDetail), 0, longestDetail, 0);
    const [line = ''] = buffer.toString('latin1', 0, bytesRead).split('\n');
    return line.replaceAll(/[^\x20-\x7e]/g, '?').trim();
  } catch {
    // Gone meanwhile, or unreadable: the others are told.
    return undefined;
  }
}

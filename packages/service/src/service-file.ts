// SPDX-License-Identifier: Apache-2.0
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { z } from 'zod';
import { readIfThere, writeAtomic } from './infra/files.ts';

const serviceFile = z.object({
  version: z.literal(1),
  pid: z.number().int(),
  startedAt: z.string(),
  http: z.string(),
  est: z.string(),
  lwm2m: z.string(),
  ports: z.object({ http: z.number().int(), est: z.number().int(), lwm2m: z.number().int() }),
  apiKey: z.string(),
  trust: z.string(),
});

/**
 * What a running service says about itself in `service.json` (mode 0600: it holds an API key). URLs are as seen on this machine;
 * `trust` is the path of the certificate of the CA that devices and EST clients verify the service with.
 */
export type ServiceFile = z.infer<typeof serviceFile>;

/** Written when the service is ready, and gone when it has stopped; a killed service leaves it, with a dead `pid`. */
export async function writeServiceFile(directory: string, content: ServiceFile): Promise<void> {
  await writeAtomic(pathOf(directory), `${JSON.stringify(content, undefined, 2)}\n`, 0o600);
}

/** The service file of a directory, or undefined when there is none. Throws `service/file-malformed`. */
export async function readServiceFile(directory: string): Promise<ServiceFile | undefined> {
  const text = await readIfThere(pathOf(directory));
  if (text === undefined) return undefined;
  try {
    return serviceFile.parse(JSON.parse(text));
  } catch (cause) {
    throw new MblError('service/file-malformed', `${pathOf(directory)} is not what a service writes`, {
      remedy: 'Start the service again; it writes the file anew',
      cause,
    });
  }
}

export async function removeServiceFile(directory: string): Promise<void> {
  await rm(pathOf(directory), { force: true });
}

function pathOf(directory: string): string {
  return join(directory, 'service.json');
}

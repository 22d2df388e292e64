// SPDX-License-Identifier: Apache-2.0
import { rm } from 'node:fs/promises';
import { formatServiceFile, type ServiceFile, serviceFilePath } from '@mbl/formats';
import { writeAtomic } from './infra/files.ts';

/** Written when the service is ready, and gone when it has stopped; a killed service leaves it, with a dead `pid`. */
export async function writeServiceFile(directory: string, content: ServiceFile): Promise<void> {
  await writeAtomic(serviceFilePath(directory), formatServiceFile(content), 0o600);
}

export async function removeServiceFile(directory: string): Promise<void> {
  await rm(serviceFilePath(directory), { force: true });
}

// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { readText } from './read-text.ts';
import { readRecord } from './record.ts';

/**
 * What a running service says about itself in `service.json` (mode 0600: it holds an API key). URLs are as seen on this machine;
 * `trust` is the path of the certificate of the CA that devices and EST clients verify the service with.
 */
export interface ServiceFile {
  readonly version: 1;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly http: string;
  readonly est: string;
  readonly lwm2m: string;
  readonly ports: { readonly http: number; readonly est: number; readonly lwm2m: number };
  readonly apiKey: string;
  readonly trust: string;
}

const maxBytes = 64 * 1024;
const maxPath = 4096;

export function serviceFilePath(directory: string): string {
  return join(directory, 'service.json');
}

/** The file of the service in a folder; undefined when there is none. Throws `formats/bad-service-file`. */
export async function readServiceFile(directory: string): Promise<ServiceFile | undefined> {
  const path = serviceFilePath(directory);
  const text = await readText(path, maxBytes);
  return text === undefined ? undefined : parseServiceFile(text, path);
}

/** `path` is for messages. Throws `formats/bad-service-file`. */
export function parseServiceFile(text: string, path: string): ServiceFile {
  const json = readRecord(text, {
    path,
    code: 'formats/bad-service-file',
    remedy: 'Start the service again, it writes the file anew: ./mbl up',
    most: maxBytes,
  });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const ports = json.object('ports');
  const port = (name: string) => ports.integer(name, 65_535);
  return {
    version: 1,
    pid: json.integer('pid'),
    startedAt: json.string('startedAt'),
    http: json.string('http'),
    est: json.string('est'),
    lwm2m: json.string('lwm2m'),
    ports: { http: port('http'), est: port('est'), lwm2m: port('lwm2m') },
    apiKey: json.string('apiKey'),
    trust: json.string('trust', undefined, maxPath),
  };
}

export function formatServiceFile(file: ServiceFile): string {
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

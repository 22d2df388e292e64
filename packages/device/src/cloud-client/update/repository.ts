// SPDX-License-Identifier: Apache-2.0
import { constants, open } from 'node:fs/promises';
import { MblError } from '@mbl/trust';
import type { InstallComponent } from '../../platform/update.ts';
import { fetchBytes, type FetchOptions } from './fetch.ts';

/** A release where it lies. */
export interface ReleasePlace {
  readonly release: string;
  /** A file of the repository as a text; '' where there is none. Throws `device/fetch-failed`. */
  metadata(name: string, signal: AbortSignal): Promise<string>;
  /** Writes a component to its partition; `progress` is told the bytes that are there. Throws `device/fetch-failed`. */
  bring(component: InstallComponent, signal: AbortSignal, progress: (bytes: number) => void): Promise<void>;
}

/** Repositories of releases, which lie on any web server: nothing that comes from there is believed. */
export interface Repository {
  /** `<URL of the repository>#<release>`, or `#<release>` for the service's own. Throws `device/bad-update-uri`, `device/update-protocol`. */
  open(uri: string): ReleasePlace;
}

/** The most that a metadata file may have: the platform's bound for what it reads. */
const mostMetadataBytes = 1024 * 1024;

const metadataMs = 5 * 60_000;

export function httpRepository(options: FetchOptions): Repository {
  return {
    open(uri) {
      const { base, release } = parseUri(uri, options.service.url);
      return {
        release,
        async metadata(name, signal) {
          const pieces: Uint8Array[] = [];
          // A server that drips must not hold the update up for ever.
          const soon = AbortSignal.any([signal, AbortSignal.timeout(metadataMs)]);
          const found = await fetchBytes(
            new URL(name, base),
            { ...options, most: mostMetadataBytes, signal: soon },
            (piece) => {
              pieces.push(piece);
            },
          );
          return found ? Buffer.concat(pieces).toString('utf8') : '';
        },
        async bring({ path, device, size }, signal, progress) {
          // Every piece is on the disk before the next one is asked for: the download is as slow as the disk, and the memory stays small.
          await using file = await open(device, constants.O_RDWR | constants.O_DSYNC);
          let at = 0;
          const found = await fetchBytes(
            new URL(path, base),
            { ...options, most: size, signal },
            async (piece) => {
              await file.write(piece, 0, piece.length, at);
              at += piece.length;
              progress(at);
            },
          );
          if (!found || at !== size)
            throw new MblError('device/fetch-failed', `${path} has ${at} bytes there in place of ${size}`);
        },
      };
    },
  };
}

/** The service has its repository beside its enrolment. */
function parseUri(uri: string, service: string): { base: URL; release: string } {
  const url = URL.parse(uri, new URL('/releases/', service));
  const release = url === null ? undefined : decoded(url.hash.slice(1));
  if (url === null || release === undefined || release === '')
    throw new MblError(
      'device/bad-update-uri',
      'the Package URI is <http or https URL of a repository>#<release>',
    );
  if (!['http:', 'https:'].includes(url.protocol))
    throw new MblError('device/update-protocol', `releases come by http or https, not by ${url.protocol}`);
  const base = new URL(url);
  base.hash = '';
  base.search = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return { base, release };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

// SPDX-License-Identifier: Apache-2.0
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { HttpMirror, type TransferReport } from '@mbl/blocks';
import { MblError } from '@mbl/trust';
import type { InstallComponent } from '../../platform/update.ts';
import { bringComponent, type BringOptions, journalIn } from './bring.ts';
import { fetchBytes, type FetchOptions, trustFor, usualStallMs } from './fetch.ts';

export interface RepositoryOptions extends FetchOptions {
  /** Folder of what a transfer keeps over a power cut. */
  readonly state: string;
  /** How often a mirror is tried before a transfer gives up for now; default 3. */
  readonly rounds?: number;
}

/** A release where it lies. */
export interface ReleasePlace {
  readonly release: string;
  /** A file of the repository as a text, of `most` bytes at most; '' where there is none. Throws `device/fetch-failed`. */
  metadata(name: string, most: number, signal: AbortSignal): Promise<string>;
  /** Makes a component in its partition. Throws what `transfer` of `@mbl/blocks` does, and `device/slot-closed`. */
  bring(
    component: InstallComponent,
    options: Pick<BringOptions, 'budget' | 'tree' | 'progress' | 'signal'>,
  ): Promise<TransferReport>;
  /** What was spent on its components is forgotten: they are there, or nobody wants them. */
  forget(): Promise<void>;
}

/** Repositories of releases, which lie on any web server: nothing that comes from there is believed. */
export interface Repository {
  /**
   * `<URL of the repository>#<release>`, or `#<release>` for the service's own; `team`: whose components they are, where it is not the operating
   * system. Throws `device/bad-update-uri`,
   * `device/update-protocol`.
   */
  open(uri: string, team?: string): ReleasePlace;
}

/** The most that a metadata file may have: the platform's bound for what it reads. */
export const mostMetadataBytes = 1024 * 1024;

const metadataMs = 5 * 60_000;

export function httpRepository(options: RepositoryOptions): Repository {
  return {
    open(uri, team) {
      const prefix = team === undefined ? 'transfer-' : `transfer-${team}.`;
      const { base, release } = parseUri(uri, options.service.url);
      return {
        release,
        async metadata(name, most, signal) {
          const pieces: Uint8Array[] = [];
          // A server that drips must not hold the update up for ever.
          const soon = AbortSignal.any([signal, AbortSignal.timeout(metadataMs)]);
          const found = await fetchBytes(
            new URL(name, base),
            { ...options, most: Math.min(mostMetadataBytes, most), signal: soon },
            (piece) => {
              pieces.push(piece);
            },
          );
          return found ? Buffer.concat(pieces).toString('utf8') : '';
        },
        async bring(component, { progress, signal, budget, tree }) {
          const { service, state, stallMs = usualStallMs, rounds = 3 } = options;
          await using mirror = new HttpMirror({ url: base.href, tls: trustFor(base, service) });
          return await bringComponent(component, mirror, {
            journal: journalIn(join(state, `${prefix}${component.name}.json`)),
            tree,
            ...(budget === undefined ? {} : { budget }),
            stallMs,
            rounds,
            progress,
            signal,
          });
        },
        async forget() {
          const { state } = options;
          // The name of a team has no dot, nor has that of a component.
          const own = (name: string) => /^[^.]*\.json$/.test(name.slice(prefix.length));
          for (const name of await readdir(state).catch(() => []))
            if (name.startsWith(prefix) && own(name)) await rm(join(state, name), { force: true });
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

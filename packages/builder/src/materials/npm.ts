// SPDX-License-Identifier: Apache-2.0
import type { LockedNpm } from '../recipes/lock.ts';
import type { BillComponent } from '@mbl/formats';

/** What a `package.json` says of itself. Fields of another form than npm's count as missing. */
export interface NpmManifest {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly license?: unknown;
  readonly repository?: unknown;
}

/** Describes a package of npm. `integrity` is the lock's ("sha512-…"). */
export const describeNpm = (manifest: NpmManifest, integrity: string): BillComponent => {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const { repository } = manifest;
  const [name, version, licence] = [text(manifest.name), text(manifest.version), text(manifest.license)];
  const inObject = typeof repository === 'object' && repository !== null && 'url' in repository;
  const url = repositoryUrl(text(inObject ? repository.url : repository));
  return {
    type: 'library',
    name,
    version,
    licences: licence === '' ? [] : [licence],
    purl: npmUrl(name, version),
    hashes: hashesOf(integrity),
    sources: url === undefined ? [] : [{ type: 'vcs', url }],
  };
};

/** Node itself, which npm serves as a program; the source is the release that it was built from. */
export const describeNode = ({ name, version, integrity }: LockedNpm): BillComponent => ({
  type: 'library',
  name: 'nodejs',
  version,
  licences: ['MIT'],
  purl: npmUrl(name, version),
  hashes: hashesOf(integrity),
  sources: [
    { type: 'source-distribution', url: `https://nodejs.org/dist/v${version}/node-v${version}.tar.gz` },
  ],
});

/** The page of a repository, from any form that npm's `repository` knows: `git@host:a/b.git`, `git+ssh://…`, `github:a/b`, `a/b`. */
export const repositoryUrl = (text: string): string | undefined => {
  const short = /^(?:github:)?([\w-]+\/[\w.-]+)$/.exec(text)?.[1];
  const [, host, path] =
    /^(?:git\+)?(?:https?|git|ssh):\/\/(?:[^@/]+@)?([^/]+)\/(.+)$/.exec(text) ??
    /^(?:[^@/:]+@)([^/:]+):(.+)$/.exec(text) ??
    (short ? [text, 'github.com', short] : []);
  if (host === undefined || path === undefined) return undefined;
  return `https://${host}/${path.replace(/\.git$/, '')}`;
};

const npmUrl = (name: string, version: string): string => `pkg:npm/${name.replace('@', '%40')}@${version}`;

const hashesOf = (integrity: string): BillComponent['hashes'] =>
  integrity.startsWith('sha512-')
    ? { 'SHA-512': Buffer.from(integrity.slice(7), 'base64').toString('hex') }
    : {};

// SPDX-License-Identifier: Apache-2.0
import type { KeyProfile } from '@mbl/trust';
import { componentNames, maxRollbackIndex } from './image.ts';
import { type JsonRecord, readRecord } from './record.ts';

/** A file of a release, by its content. */
export interface ReleaseFile {
  /** A plain name, such as `root.img`. */
  readonly file: string;
  /** Bytes. */
  readonly size: number;
  /** 64 hex digits. */
  readonly sha256: string;
}

/** How a verity image is opened: data, hash tree behind it (`@mbl/blocks`), sizes in bytes. */
export interface ReleaseVerity {
  readonly dataSize: number;
  readonly hashOffset: number;
  /** 64 hex digits. */
  readonly rootHash: string;
  /** Hex, at most 256 bytes. */
  readonly salt: string;
}

/**
 * The file that block sync makes a component of (docs/decisions/0018): of the component padded with zeros to whole blocks of 4096 bytes, and of a
 * verity image of its data, whose tree the device makes.
 */
export interface ReleasePayload extends ReleaseFile {
  /** Bytes that it makes. */
  readonly dataSize: number;
  /** Of the hash tree over them, 64 hex digits. */
  readonly rootHash: string;
  /** Of that tree: hex, at most 256 bytes. */
  readonly salt: string;
  /** Bytes of the index, which is the end of the file. */
  readonly indexSize: number;
  readonly indexSha256: string;
  /** Bytes of the stream, for devices that have nothing of it; nobody needs to sign what is in it. Absent where there is none. */
  readonly streamSize?: number;
  /** Copy maps (`@mbl/blocks`), which nobody needs to sign: `source` is the root hash of the root that an older release has, 64 hex digits. */
  readonly maps: readonly { readonly source: string; readonly size: number }[];
}

/** What belongs to the file system of an app. */
export interface ReleaseApp {
  /** The digest that the kernel measures of it (`FsVerityHasher` of `@mbl/blocks`), 64 hex digits. */
  readonly fsVerity: string;
  /** Its `app.json`. */
  readonly description: ReleaseFile;
  /** The bill of materials (CycloneDX). */
  readonly packages?: ReleaseFile;
}

/** A part that a device installs as a whole. */
export interface ReleaseComponent extends ReleaseFile {
  /** `boot-firmware`, `kernel`, `root` of the team `os`; an app's name of any other team. */
  readonly name: string;
  readonly version: string;
  /** Absent where the component is no verity image. */
  readonly verity?: ReleaseVerity;
  /** Absent where an older program made the release: no device can fetch it then. */
  readonly payload?: ReleasePayload;
  /** Of an app; absent of every component of the operating system. */
  readonly app?: ReleaseApp;
  /** Components of the same image that must be installed with it, each by its content. */
  readonly requires: readonly { readonly component: string; readonly sha256: string }[];
}

/** What one machine gets. */
export interface ReleaseImage {
  readonly machine: string;
  readonly image: string;
  /** 16 hex digits. */
  readonly buildId: string;
  readonly components: readonly ReleaseComponent[];
  /** The bill of materials (CycloneDX), where the build has one. */
  readonly packages?: ReleaseFile;
}

/** What a team gives out under one name: for each machine at most one image. */
export interface Release {
  readonly version: 1;
  readonly team: string;
  readonly name: string;
  /** What the keys are for that signed its images. */
  readonly keys: KeyProfile;
  /** A device that has accepted a release of a higher index takes none of a lower one. */
  readonly rollbackIndex: number;
  /** For people; may be empty, may have several lines. */
  readonly notes: string;
  readonly images: readonly ReleaseImage[];
}

export const maxReleaseBytes = 256 * 1024;
export const maxNotesLength = 16 * 1024;

const maxImages = 64;
const maxComponents = 32;
const maxMaps = 16;
const maxIndexSize = 2 ** 20;
const maxMapSize = 2 ** 20;

/** What an app's release names in the place of a machine: apps run on every board of this architecture. */
export const appMachine = 'arm64';

/** The team whose components are those of the operating system. */
export const osTeam = 'os';

const name = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const hash = /^[0-9a-f]{64}$/;
const salt = /^(?:[0-9a-f]{2})*$/;
const teamPattern = /^[a-z][a-z0-9-]{0,31}$/;
const releasePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const notes = /^[\P{Cc}\n\t]*$/u;
/** TUF's own roles: no team has the name of one. */
const reserved = ['root', 'targets', 'snapshot', 'timestamp'];

export const teamRule =
  'a small letter, then at most 31 small letters, digits and dashes; not the name of a TUF role';
export const releaseNameRule = '1 to 64 letters, digits, dots, dashes and underscores';

export function isTeam(text: string): boolean {
  return teamPattern.test(text) && !reserved.includes(text);
}

export function isReleaseName(text: string): boolean {
  return releasePattern.test(text);
}

/** Reads a release. `path` is for messages. What it does not know it leaves out. Throws `formats/bad-release`. */
export function parseRelease(text: string, path: string): Release {
  const json = readRecord(text, { path, code: 'formats/bad-release', most: maxReleaseBytes });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const team = json.string('team', teamPattern);
  if (!isTeam(team)) throw json.fail(`"team" must be ${teamRule}`);
  const images = json.objects('images', maxImages).map((one) => readImage(one, team));
  if (images.length === 0) throw json.fail('"images" must hold one at least');
  if (new Set(images.map(({ machine }) => machine)).size < images.length)
    throw json.fail('a machine is there twice');
  return {
    version: 1,
    team,
    name: json.string('name', releasePattern),
    keys: keysOf(json),
    rollbackIndex: json.integer('rollbackIndex', maxRollbackIndex),
    notes: json.string('notes', notes, maxNotesLength),
    images,
  };
}

/**
 * The one text of a release: members sorted, no space between them (RFC 8785), and a line's end. So the same release always has the
 * same digest.
 */
export function formatRelease(release: Release): string {
  return `${JSON.stringify(sorted(release))}\n`;
}

function keysOf(json: JsonRecord): KeyProfile {
  if (json.is('keys', 'production')) return 'production';
  if (json.is('keys', 'development')) return 'development';
  throw json.fail('"keys" must be "development" or "production"');
}

function readImage(json: JsonRecord, team: string): ReleaseImage {
  const components = json.objects('components', maxComponents).map((one) => readComponent(one, team));
  const found = new Map(components.map((component) => [component.name, component]));
  if (components.length === 0) throw json.fail('"components" must hold one at least');
  if (found.size < components.length) throw json.fail('a component is there twice');
  for (const { name: from, requires } of components)
    for (const { component, sha256 } of requires)
      if (found.get(component)?.sha256 !== sha256)
        throw json.fail(`${from} requires a ${component} that is not in the release`);
  return {
    machine: json.string('machine', name),
    image: json.string('image', name),
    buildId: json.string('buildId', /^[0-9a-f]{16}$/),
    components,
    ...(json.is('packages', undefined) ? {} : { packages: readFile(json.object('packages')) }),
  };
}

function readComponent(json: JsonRecord, team: string): ReleaseComponent {
  const component = json.string('name', /^[a-z][a-z0-9-]{0,31}$/);
  const ofOs = (componentNames as readonly string[]).includes(component);
  // Whoever may sign an app never gets at the operating system by calling a component so.
  if (ofOs !== (team === osTeam)) throw json.fail(`the team ${team} has no component ${component}`);
  return {
    name: component,
    version: json.string('version'),
    ...readFile(json),
    ...(json.is('verity', undefined) ? {} : { verity: readVerity(json) }),
    ...(json.is('payload', undefined) ? {} : { payload: readPayload(json) }),
    ...(ofOs ? {} : { app: readApp(json.object('app')) }),
    requires: json.objects('requires', maxComponents).map((one) => ({
      component: one.string('component', name),
      sha256: one.string('sha256', hash),
    })),
  };
}

function readApp(json: JsonRecord): ReleaseApp {
  return {
    fsVerity: json.string('fsVerity', hash),
    description: readFile(json.object('description')),
    ...(json.is('packages', undefined) ? {} : { packages: readFile(json.object('packages')) }),
  };
}

function readFile(json: JsonRecord): ReleaseFile {
  return {
    file: json.string('file', name),
    size: json.integer('size'),
    sha256: json.string('sha256', hash),
  };
}

function readVerity(json: JsonRecord): ReleaseVerity {
  const verity = json.object('verity');
  const [dataSize, hashOffset] = [verity.integer('dataSize'), verity.integer('hashOffset')];
  if (dataSize === 0 || dataSize % 4096 !== 0 || hashOffset !== dataSize || hashOffset > json.integer('size'))
    throw json.fail('"verity" must be whole blocks of data with the hash tree behind them');
  return {
    dataSize,
    hashOffset,
    rootHash: verity.string('rootHash', hash),
    salt: verity.string('salt', salt, 512),
  };
}

function readPayload(json: JsonRecord): ReleasePayload {
  const payload = json.object('payload');
  const verity = json.is('verity', undefined) ? undefined : readVerity(json);
  const dataSize = payload.integer('dataSize');
  if (dataSize === 0 || dataSize !== (verity?.dataSize ?? Math.ceil(json.integer('size') / 4096) * 4096))
    throw json.fail('"payload" must make the data of the component in whole blocks');
  return {
    ...readFile(payload),
    dataSize,
    rootHash: payload.string('rootHash', verity === undefined ? hash : new RegExp(`^${verity.rootHash}$`)),
    salt: payload.string('salt', verity === undefined ? salt : new RegExp(`^${verity.salt}$`), 512),
    indexSize: payload.integer('indexSize', maxIndexSize),
    indexSha256: payload.string('indexSha256', hash),
    ...(payload.is('streamSize', undefined) ? {} : { streamSize: payload.integer('streamSize') }),
    maps: payload.objects('maps', maxMaps).map((one) => ({
      source: one.string('source', hash),
      size: one.integer('size', maxMapSize),
    })),
  };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, one]) => [key, sorted(one)]));
}

// SPDX-License-Identifier: Apache-2.0
import { type JsonRecord, readRecord } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { badImage } from '../errors.ts';
import type { Limits } from '../limits.ts';

/** A blob by its content (OCI image-spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  /** SHA-256, 64 hex digits. */
  readonly sha256: string;
  readonly size: number;
  /** Where the index says it: operating system, architecture and variant. */
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant: string };
  /** `org.opencontainers.image.ref.name`. */
  readonly name: string | undefined;
}

/** What an image says of itself (OCI image-spec, config.md), as far as an app takes it over. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: readonly string[];
  readonly workingDirectory: string;
  readonly user: string;
  readonly stopSignal: string;
  /** As in `8080/tcp`: what the image says that it serves. */
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  /** SHA-256 of each layer, not compressed. */
  readonly layers: readonly string[];
}

const digestPattern = /^sha256:([0-9a-f]{64})$/;

export const emptyConfig: ImageConfig = {
  entrypoint: [],
  command: [],
  environment: [],
  workingDirectory: '',
  user: '',
  stopSignal: '',
  ports: [],
  volumes: [],
  layers: [],
};

/** A JSON document of an image. */
export function readDocument(bytes: Buffer, what: string, limits: Limits): JsonRecord {
  return readRecord(bytes.toString(), { path: what, code: 'apps/bad-image', most: limits.document });
}

/** The descriptors under a name of an index or a manifest. */
export function readDescriptors(json: JsonRecord, name: string, most: number): Descriptor[] {
  return json.objects(name, most).map(readDescriptor);
}

export function readDescriptor(json: JsonRecord): Descriptor {
  const platform =
    json.is('platform', undefined) || json.is('platform', null) ? undefined : json.object('platform');
  const names =
    json.is('annotations', undefined) || json.is('annotations', null)
      ? undefined
      : json.object('annotations');
  const refName = 'org.opencontainers.image.ref.name';
  return {
    mediaType: textOf(json, 'mediaType'),
    sha256: digestOf(json.string('digest')),
    size: json.integer('size'),
    ...(platform === undefined
      ? {}
      : {
          platform: {
            os: textOf(platform, 'os'),
            architecture: textOf(platform, 'architecture'),
            variant: textOf(platform, 'variant'),
          },
        }),
    name: names === undefined || names.is(refName, undefined) ? undefined : names.string(refName),
  };
}

/** The hex digits of a digest; only SHA-256 is taken, as everything that tools write today. */
export function digestOf(text: string): string {
  const hex = digestPattern.exec(text)?.[1];
  if (hex === undefined) throw badImage(`"${text.slice(0, 80)}" is no SHA-256 digest`);
  return hex;
}

/** Reads a configuration, and refuses one for another machine: `apps/wrong-architecture`. */
export function readConfig(bytes: Buffer, limits: Limits): ImageConfig {
  const json = readDocument(bytes, 'the configuration of the image', limits);
  const found = {
    os: textOf(json, 'os'),
    architecture: textOf(json, 'architecture'),
    variant: textOf(json, 'variant'),
  };
  if (!isForDevices(found)) throw wrongArchitecture([found]);
  const root = json.object('rootfs');
  if (!root.is('type', 'layers')) throw badImage('its root file system is not made of layers');
  const config = json.is('config', undefined) || json.is('config', null) ? undefined : json.object('config');
  return {
    entrypoint: listOf(config, 'Entrypoint'),
    command: listOf(config, 'Cmd'),
    environment: listOf(config, 'Env'),
    workingDirectory: config === undefined ? '' : textOf(config, 'WorkingDir', 1024),
    user: config === undefined ? '' : textOf(config, 'User'),
    stopSignal: config === undefined ? '' : textOf(config, 'StopSignal'),
    ports: keysOf(config, 'ExposedPorts'),
    volumes: keysOf(config, 'Volumes'),
    layers: root.strings('diff_ids', limits.layers).map(digestOf),
  };
}

/** arm64 of the 8th generation: what every board of ours runs. */
export function isForDevices(platform: { os: string; architecture: string; variant: string }): boolean {
  const { os, architecture, variant } = platform;
  return os === 'linux' && architecture === 'arm64' && (variant === '' || variant === 'v8');
}

export function wrongArchitecture(
  found: readonly { os: string; architecture: string; variant: string }[],
): MblError {
  const names = found.map(({ os, architecture, variant }) =>
    [os === '' ? 'unknown' : os, architecture === '' ? 'unknown' : architecture, variant]
      .filter((part) => part !== '')
      .join('/'),
  );
  return new MblError(
    'apps/wrong-architecture',
    `The image is for ${[...new Set(names)].slice(0, 10).join(', ')}; devices run linux/arm64.`,
    {
      remedy:
        'Build it with: docker build --platform linux/arm64 . (or: buildah build --platform linux/arm64 .)',
    },
  );
}

function textOf(json: JsonRecord, name: string, most = 256): string {
  return json.is(name, undefined) || json.is(name, null) || json.is(name, '')
    ? ''
    : json.string(name, undefined, most);
}

function listOf(json: JsonRecord | undefined, name: string): string[] {
  return json === undefined || json.is(name, undefined) || json.is(name, null)
    ? []
    : json.strings(name, 256, 4096);
}

function keysOf(json: JsonRecord | undefined, name: string): string[] {
  if (json === undefined || json.is(name, undefined) || json.is(name, null)) return [];
  return json.entries(name, 256).map(([key]) => key);
}

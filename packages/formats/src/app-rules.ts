// SPDX-License-Identifier: Apache-2.0
//
// What may stand in `app.yaml` and in `app.json`: who writes an app and who runs it have one rule.

/** The name of an app, a port or a volume. */
export const appWord = /^[a-z][a-z0-9-]{0,31}$/;
export const appVersionPattern = /^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$/;
const absolute = /^\/(?:[^/\p{Cc}]+(?:\/[^/\p{Cc}]+)*)?$/u;
/** Paths that get into files of the device's: nothing in them has to be quoted. */
const plain = /^(?:\/[A-Za-z0-9._@+-]+)+$/;

export const appNameRule =
  'a small letter, then at most 31 small letters, digits and dashes; not a name that the device itself uses';
export const appVersionRule = 'at most 64 letters, digits, dots, dashes, +, ~ and _';
export const appPathRule = 'an absolute path without "." and ".." and without a slash at the end';
export const appPlainPathRule = 'an absolute path of letters, digits and . _ @ + -, without "." and ".."';

/**
 * Components of the operating system, folders of `/run/mbl/apps`, and what stands behind `mbl-app-` in names of units: an app of such a name would
 * have the folder or the unit of somebody else.
 */
const reserved = ['boot-firmware', 'kernel', 'root', 'answers', 'asks', 'bus', 'rollbacks'];
const reservedForUnits = /^(?:health-|run-[0-9a-f]{16}$)/;

export function isAppName(text: string): boolean {
  return appWord.test(text) && !reserved.includes(text) && !reservedForUnits.test(text);
}

export function isAppVersion(text: string): boolean {
  return appVersionPattern.test(text);
}

/** An absolute path in an app: no part of it goes back. */
export function isAppPath(text: string): boolean {
  return (
    absolute.test(text) &&
    text.length <= 1024 &&
    !text.split('/').some((part) => part === '.' || part === '..')
  );
}

/** A path of a volume. */
export function isAppPlainPath(text: string): boolean {
  return plain.test(text) && isAppPath(text);
}

export function isAppDevice(text: string): boolean {
  return isAppPlainPath(text) && text.startsWith('/dev/');
}

export function isAppVariable(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]{0,95}$/.test(name);
}

/** A D-Bus name (D-Bus Specification, "Valid Names"), not a unique one. */
export function isBusName(text: string): boolean {
  return /^[A-Za-z_-][A-Za-z0-9_-]*(?:\.[A-Za-z_-][A-Za-z0-9_-]*)+$/.test(text) && text.length <= 255;
}

export function isResourcePath(text: string): boolean {
  return (
    /^(?:\/(?:0|[1-9]\d{0,4})){3}$/.test(text) &&
    text
      .slice(1)
      .split('/')
      .every((id) => Number(id) < 65_535)
  );
}

interface NamedVolume {
  readonly name: string;
  readonly path: string;
}

/** What is wrong with a volume beside those before it; undefined where nothing is. */
export function volumeProblem(volume: NamedVolume, before: readonly NamedVolume[]): string | undefined {
  const { name, path } = volume;
  if (!appWord.test(name)) return `"${name}" is no name of a volume`;
  if (!isAppPlainPath(path) || /^\/(?:dev|proc|run|sys)(?:\/|$)/.test(path))
    return `the volume "${name}" cannot be at ${path}`;
  const other = before.find(
    (one) =>
      one.name === name || `${one.path}/`.startsWith(`${path}/`) || `${path}/`.startsWith(`${one.path}/`),
  );
  return other && `the volumes "${other.name}" and "${name}" are in one another, or of one name`;
}

interface NamedPort {
  readonly name: string;
  readonly protocol: string;
  readonly published: number;
}

/** What is wrong with a port beside those before it; undefined where nothing is. */
export function portProblem(port: NamedPort, before: readonly NamedPort[]): string | undefined {
  const { name, protocol, published } = port;
  if (!appWord.test(name)) return `"${name}" is no name of a port`;
  if (before.some((one) => one.name === name)) return `the port "${name}" is there twice`;
  const other = before.find((one) => one.published === published && one.protocol === protocol);
  return other && `"${name}" and "${other.name}" are both published as ${published}/${protocol}`;
}

interface Resource {
  readonly path: string;
  readonly type: string;
  readonly operations: readonly string[];
}

/** What is wrong with a resource beside those before it; undefined where nothing is. */
export function resourceProblem(
  { path, type, operations }: Resource,
  before: readonly Resource[],
): string | undefined {
  if (before.some((one) => one.path === path)) return `the resource ${path} is there twice`;
  if (operations.length === 0 || new Set(operations).size < operations.length)
    return `the resource ${path} must have operations, each once`;
  if ((type === 'none') !== operations.includes('execute') || (type === 'none' && operations.length > 1))
    return `the resource ${path}: "execute" is for the type "none", and it alone`;
  return undefined;
}

// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:os';
import { type AppDescription, type AppImage, isAppPath } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { ImageConfig } from '../image/documents.ts';
import type { Account } from '../root/accounts.ts';
import { type AppFile, defaults } from './app-file.ts';

/** What starts the app: `app.yaml`'s command, or the image's entry point and its arguments. Throws `apps/no-command`. */
export function commandOf(app: AppFile, config: ImageConfig): readonly string[] {
  const command = app.command ?? [...config.entrypoint, ...config.command];
  if (command.length > 0) return command;
  throw new MblError(
    'apps/no-command',
    'Nothing says what the app starts: neither app.yaml nor the image has a command.',
    {
      remedy: 'Write it into app.yaml, such as: command: [/usr/bin/sensor]',
    },
  );
}

/** The image's variables and over them those of `app.yaml`, sorted by name. */
export function environmentOf(app: AppFile, config: ImageConfig): string[] {
  const variables = new Map<string, string>();
  for (const one of config.environment) {
    const equals = one.indexOf('=');
    if (equals > 0) variables.set(one.slice(0, equals), one.slice(equals + 1));
  }
  for (const { name, part } of app.environment ?? []) variables.set(name, part);
  return [...variables].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}=${value}`);
}

/** Who the image's process is, as text: `app.yaml` over the image. */
export function userOf(app: AppFile, config: ImageConfig): string {
  return app.user ?? config.user;
}

/** `app.json` of an app: nothing is granted that `app.yaml` does not ask for, whatever the image exposes. */
export function describeApp(
  app: AppFile,
  config: ImageConfig,
  image: AppImage,
  account: Account,
): AppDescription {
  const { permissions, limits, restart, stop, health } = app;
  const workingDirectory = app.workingDirectory ?? (config.workingDirectory.replace(/(?<=.)\/+$/, '') || '/');
  if (!isAppPath(workingDirectory))
    throw new MblError(
      'apps/bad-image',
      `The image's working directory "${workingDirectory}" is no absolute path.`,
      {
        remedy: 'Set "working-directory" in app.yaml.',
      },
    );
  const signal = stop.signal ?? signalOf(config.stopSignal) ?? defaults.stop.signal;
  return {
    version: 1,
    name: app.name,
    release: app.version,
    summary: app.summary ?? '',
    architecture: 'arm64',
    image,
    command: commandOf(app, config),
    environment: environmentOf(app, config),
    workingDirectory,
    users: app.users ?? defaults.users,
    user: account,
    stop: { signal, grace: stop.grace ?? defaults.stop.grace },
    permissions: {
      network: permissions.network ?? defaults.network,
      ports: (permissions.ports ?? []).map(({ name, part }) => ({
        name,
        port: part.port,
        protocol: part.protocol ?? defaults.protocol,
        published: part.published ?? part.port,
      })),
      devices: permissions.devices ?? [],
      bus: { talk: permissions.bus.talk ?? [], own: permissions.bus.own ?? [] },
    },
    limits: {
      memory: limits.memory ?? defaults.limits.memory,
      cpu: limits.cpu ?? defaults.limits.cpu,
      processes: limits.processes ?? defaults.limits.processes,
      read: limits.read ?? defaults.limits.read,
      write: limits.write ?? defaults.limits.write,
      log: limits.log ?? defaults.limits.log,
    },
    restart: {
      when: restart.when ?? defaults.restart.when,
      delay: restart.delay ?? defaults.restart.delay,
      longest: restart.longest ?? defaults.restart.longest,
    },
    ...(health === undefined
      ? {}
      : {
          health: {
            command: health.command,
            interval: health.interval ?? defaults.health.interval,
            timeout: health.timeout ?? defaults.health.timeout,
            failures: health.failures ?? defaults.health.failures,
            grace: health.grace ?? defaults.health.grace,
          },
        }),
    volumes: (app.volumes ?? []).map(({ name, part }) => ({
      name,
      path: part.path,
      size: part.size ?? defaults.volume.size,
      files: part.files ?? defaults.volume.files,
    })),
    resources: app.resources ?? [],
    after: app.after ?? [],
    ...(app.os === undefined ? {} : { os: app.os }),
  };
}

/** `StopSignal` is a name, or a number of Linux's. */
function signalOf(text: string): string | undefined {
  const name = /^(?:SIG)?([A-Z][A-Z0-9+]{1,11})$/.exec(text)?.[1];
  if (name !== undefined) return `SIG${name}`;
  return Object.entries(constants.signals).find(([, number]) => String(number) === text)?.[0];
}

// SPDX-License-Identifier: Apache-2.0
import { watch } from 'node:fs';
import { basename, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppDescription } from '@mbl/formats';
import type { Device, ServiceClient } from '@mbl/service';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { printFailure } from '../failure.ts';
import { followLog } from './app-log.ts';
import { packageApp } from './apps.ts';
import { chooseDevice, deployApps } from './deploy-apps.ts';
import { type Pushed, pushApps } from './push-app.ts';

export interface AppSources {
  /** Folders with an app.yaml; undefined: this one. */
  readonly sources: readonly (string | undefined)[];
  /** Undefined: the name of the first app. */
  readonly team: string | undefined;
  /** An image for the first app, in the place of the one that its app.yaml names. */
  readonly image: string | undefined;
  readonly keys: string | undefined;
}

export interface BuiltAndPushed extends Pushed {
  readonly team: string;
  readonly apps: readonly AppDescription[];
}

/** Builds apps, and makes and signs a release of them. Throws `cli/bad-team`, and what building and `pushApps` throw. */
export async function buildAndPush(
  cli: Cli,
  {
    sources,
    image,
    ...more
  }: AppSources & { readonly release: string | undefined; readonly notes: string; readonly passing: boolean },
): Promise<BuiltAndPushed> {
  const packages: { folder: string; app: AppDescription }[] = [];
  for (const [i, source] of sources.entries()) {
    const choice = { source, image: i === 0 ? image : undefined };
    packages.push(
      await packageApp(cli, { ...choice, tag: undefined, appName: undefined, appVersion: undefined }),
    );
  }
  const team = more.team ?? packages[0]?.app.name ?? '';
  const pushed = await cli.output.progress.phase(
    `make and sign a release of ${team}`,
    async () => await pushApps(cli, { ...more, team, packages }),
    ({ release }) => ({ note: release }),
  );
  return { ...pushed, team, apps: packages.map(({ app }) => app) };
}

/** Editors write a file in several steps. */
const settleMs = 200;

/**
 * Builds, releases and deploys apps to a device and prints what the first one writes; and again when a file of theirs changes, until the signal of `cli`. A mistake is shown, and the next
 * change waited for; the first time it ends the command.
 */
export async function develop(
  cli: Cli,
  { device: idOrName, ...from }: AppSources & { readonly device: string | undefined },
): Promise<void> {
  const { output, signal } = cli;
  const { client, device } = await chooseDevice(cli, idOrName);
  if (device.image_keys === 'production')
    throw new MblError('cli/production-device', `${device.endpoint_name} trusts production keys.`, {
      remedy: 'Deploy a release that their owner signed: ./mbl app deploy TEAM RELEASE',
    });
  const folders = from.sources.map((source) => resolve(source ?? '.'));
  for (let first = true; !signal.aborted; first = false) {
    // Before it is built: what is saved meanwhile is built next.
    using changes = watchFolders(folders);
    const until = AbortSignal.any([signal, changes.signal]);
    try {
      await once(cli, { client, device }, from, until);
    } catch (error) {
      if (signal.aborted) return;
      if (!changes.signal.aborted) {
        if (first || !(error instanceof MblError)) throw error;
        printFailure(output, error, false);
        output.remark('Waits for the next change.');
        await changes.happened(signal);
      }
    }
    if (signal.aborted) return;
    await sleep(settleMs, undefined, { signal }).catch(() => undefined);
    output.remark(`Changed: ${changes.what}`);
  }
}

async function once(
  cli: Cli,
  { client, device }: { client: ServiceClient; device: Device },
  from: AppSources,
  until: AbortSignal,
): Promise<void> {
  const { team, release, apps } = await buildAndPush(cli, {
    ...from,
    release: undefined,
    notes: '',
    passing: true,
  });
  const name = device.endpoint_name;
  await cli.output.progress.phase(
    `run it on ${name}`,
    async (report) => await deployApps({ client, device, team, release, signal: until, report }),
    () => ({ note: release }),
  );
  const [app] = apps;
  if (app === undefined) return;
  cli.output.remark(`What ${app.name} writes; Ctrl-C ends it. Save a file, and it is built again.`);
  await followLog(cli, { client, device, app: app.name, lines: 10, follow: true, signal: until });
}

interface Changes extends Disposable {
  readonly signal: AbortSignal;
  /** The file that changed first. */
  readonly what: string;
  /** Resolves when one has, or at the signal. */
  happened(signal: AbortSignal): Promise<void>;
}

function watchFolders(folders: readonly string[]): Changes {
  const changed = new AbortController();
  let what = '';
  const watchers = folders.map((folder) =>
    watch(folder, { recursive: true }, (_event, file) => {
      // What editors leave beside a file.
      if (file === null || /(^\.|~$|\.sw.$|^4913$)/.test(basename(file))) return;
      if (what === '') what = file;
      changed.abort();
    }),
  );
  for (const watcher of watchers) watcher.on('error', () => undefined);
  return {
    signal: changed.signal,
    get what() {
      return what;
    },
    async happened(signal) {
      await sleep(2 ** 31 - 1, undefined, { signal: AbortSignal.any([signal, changed.signal]) }).catch(
        () => undefined,
      );
    },
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close();
    },
  };
}

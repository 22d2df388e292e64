// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type AppFile, buildApp, type BuildAppOptions, type BuiltApp, loadApp, readApp } from '@mbl/apps';
import { formatPosition } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { toolPath } from './tools.ts';

/** What an app is made of, as it was typed. */
export interface AppChoice {
  /** A folder with an `app.yaml`, or an image. */
  readonly source: string | undefined;
  /** An image in the place of the one that `app.yaml` names. */
  readonly image: string | undefined;
  readonly tag: string | undefined;
  /** For an image without an `app.yaml`. */
  readonly appName: string | undefined;
  readonly appVersion: string | undefined;
}

/** The app that was named, and its image. Throws `cli/no-source`, `apps/no-app`, `formats/bad-recipe`. */
export async function chooseApp(choice: AppChoice): Promise<Pick<BuildAppOptions, 'app' | 'source'>> {
  const given = resolve(choice.source ?? '.');
  const { image, tag } = choice;
  if (!(await isApp(given)) && choice.source !== undefined)
    return { app: plainApp(choice), source: { image: given, tag } };
  const { app, at } = await loadApp(given);
  if (image !== undefined) return { app, source: { image: resolve(image), tag } };
  const { source } = app;
  if (source.root !== undefined) return { app, source: { root: source.root.value } };
  if (source.image !== undefined)
    return { app, source: { image: source.image.value, tag: tag ?? source.tag } };
  if (source.containerfile !== undefined)
    return { app, source: { containerfile: source.containerfile.value } };
  if (source.registry !== undefined) return { app, source: { registry: source.registry } };
  throw new MblError('cli/no-source', `${formatPosition(at)}: the app does not say what it is made of.`, {
    remedy: 'Name an image: ./mbl app build --image app.tar, or write "source" into app.yaml.',
  });
}

async function isApp(folder: string): Promise<boolean> {
  return await stat(join(folder, 'app.yaml')).then(
    () => true,
    () => false,
  );
}

/** An app that says nothing but its name and its version: all else is the image's, and it asks for nothing. */
function plainApp({ source, appName: name, appVersion }: AppChoice): AppFile {
  if (name === undefined || appVersion === undefined)
    throw new MblError('cli/no-source', `${source ?? ''} has no app.yaml, so nothing names the app.`, {
      remedy:
        'Name it: ./mbl app build IMAGE --app-name NAME --app-version 1.0, or make a folder with: ./mbl app new NAME',
    });
  const text = `name: ${JSON.stringify(name)}\nversion: ${JSON.stringify(appVersion)}\n`;
  return readApp('the command line', Buffer.from(text)).app;
}

/** The environment of programs that make packages: the locked tools and nothing of the user's. */
export async function packagingEnvironment(cli: Cli): Promise<Readonly<Record<string, string>>> {
  const path = await toolPath(cli, 'run');
  return { PATH: path.join(':'), LC_ALL: 'C.UTF-8', TZ: 'UTC' };
}

/** The folder of a package: the one that was named, or an app's in the workspace. */
export async function packageFolder({ workspace }: Cli, given: string): Promise<string> {
  const own = join(workspace.build, 'apps', given);
  const known =
    !given.includes('/') &&
    (await stat(own).then(
      () => true,
      () => false,
    ));
  return known ? own : resolve(given);
}

/** Makes the package of an app, in the folder that was named or in the workspace's; says what was done to the image. Throws what `chooseApp` and `buildApp` throw. */
export async function packageApp(cli: Cli, choice: AppChoice, given?: string): Promise<BuiltApp> {
  const { output, workspace, signal } = cli;
  const { app, source } = await chooseApp(choice);
  const environment = await packagingEnvironment(cli);
  const folder = given === undefined ? join(workspace.build, 'apps', app.name) : resolve(given);
  const built = await output.progress.phase(
    `package ${app.name} ${app.version}`,
    async (report) =>
      await buildApp({
        app,
        source,
        output: folder,
        environment,
        userEnvironment: cli.environment,
        signal,
        onPhase: (what) => report(undefined, what),
      }),
    ({ kind, entries, packages }) => ({ note: `${kind}, ${entries} files, ${packages} packages known` }),
  );
  const { changes, exposed } = built;
  if (changes.setuid > 0) output.remark(`${changes.setuid} set-user-ID bits are gone: an app has one user.`);
  if (changes.attributes > 0)
    output.remark(`${changes.attributes} capabilities and labels of files are gone.`);
  if (exposed.length > 0)
    output.remark(
      `The image exposes ${exposed.join(', ')}; only what app.yaml lists under "ports" is asked for.`,
    );
  return built;
}

// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MblError } from '@mbl/trust';

export interface MakeImageOptions {
  /** An empty folder for the image, and for what the tool needs. */
  readonly scratch: string;
  /** The user's own: the tool has its settings and its credentials there. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal | undefined;
}

const images =
  'Make the image elsewhere and name the file: docker save -o app.tar NAME; ./mbl app build --image app.tar';

/** Fetches an image for arm64 from a registry, with skopeo. Returns an image in the layout of OCI. Throws `apps/no-tool`, `apps/tool-failed`. */
export async function fetchImage(name: string, options: MakeImageOptions): Promise<string> {
  const layout = join(options.scratch, 'image');
  const platform = ['--override-os', 'linux', '--override-arch', 'arm64'];
  await run('skopeo', [...platform, 'copy', `docker://${name}`, `oci:${layout}:app`], options);
  return layout;
}

/**
 * Makes an image for arm64 of a Containerfile, whose folder is the context, with buildah. Returns an image in the layout of OCI. Throws
 * `apps/no-tool`, `apps/tool-failed`.
 */
export async function buildContainerfile(file: string, options: MakeImageOptions): Promise<string> {
  const layout = join(options.scratch, 'image');
  const id = join(options.scratch, 'id');
  // Times of now would make another app at each build.
  const reproducible = ['--timestamp', '0'];
  await run(
    'buildah',
    ['bud', '--platform', 'linux/arm64', ...reproducible, '--iidfile', id, '--file', file, dirname(file)],
    options,
  );
  const image = (await readFile(id, 'utf8')).trim();
  await run('buildah', ['push', image, `oci:${layout}:app`], options);
  return layout;
}

async function run(program: string, args: readonly string[], options: MakeImageOptions): Promise<void> {
  const { environment, signal } = options;
  const child = spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], signal });
  let said = '';
  const listen = (piece: Buffer) => {
    said = (said + piece.toString()).slice(-4000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  const status = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  }).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
      throw new MblError('apps/no-tool', `There is no ${program} on this machine.`, {
        remedy: `Install it: apt install ${program}. Or: ${images}`,
        cause,
      });
    throw cause;
  });
  if (status === 0) return;
  const last = said.trim().split('\n').slice(-4).join('\n');
  throw new MblError('apps/tool-failed', `${program} ended with status ${status}:\n${last}`, {
    remedy: images,
    details: { program, args: [...args], status },
  });
}

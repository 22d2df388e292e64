// SPDX-License-Identifier: Apache-2.0
import type { BuildResult } from '@mbl/builder';
import { join } from 'node:path';
import { adoptBuild, type Board, hasSameLayout } from '@mbl/lab';
import type { Device, ServiceClient } from '@mbl/service';
import { type KeySet, MblError } from '@mbl/trust';
import type { Cli } from '../cli.ts';
import { bringRelease } from './bring-release.ts';
import { releaseOfBuild } from './build-release.ts';
import { firmwareOwner } from './firmware-owner.ts';

type Image = BuildResult['description'];

/**
 * Asks the device itself what it runs: somebody may have updated it meanwhile, and an update may have come to nothing. Undefined where it
 * does not say.
 */
export async function runningBuild(
  client: ServiceClient,
  device: Device,
  signal: AbortSignal,
): Promise<string | undefined> {
  // LwM2M Core 1.1 Appendix E.4: Software Version, which is the version of the root and the build.
  const [softwareVersion] = await client.read(device.id, '/3/0/19', { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    if (error instanceof MblError) return [];
    throw error;
  });
  return /^\S+ ([0-9a-f]{16})$/.exec(String(softwareVersion?.value))?.[1];
}

/**
 * Brings a build to a board that is on line, as `mbl device update` does. Returns the board with its new image. Throws what `requireUpdatable` throws,
 * and with `--reflash` in the remedy what `releaseOfBuild` and `bringRelease` throw.
 */
export async function updateBoard(
  cli: Cli,
  board: Board,
  {
    build,
    keys,
    client,
    device,
  }: { build: BuildResult; keys: KeySet; client: ServiceClient; device: Device },
): Promise<Board> {
  const { output, signal } = cli;
  await requireUpdatable(board, build);
  return await orReflash(board.name, async () => {
    const release = await releaseOfBuild(cli, build, keys);
    await output.progress.phase(
      `update ${board.name} over the air`,
      async (report) => await bringRelease({ client, device, release, signal, report }),
    );
    return await adoptBuild(board, build.directory, { signal });
  });
}

/** Throws `cli/needs-flash` where a running board could not become this build, `cli/needs-reset` where this board never could. */
export async function requireUpdatable(
  { name, image, flashPath }: { name: string; image: Image; flashPath: string },
  { directory, description: wanted }: Pick<BuildResult, 'directory' | 'description'>,
): Promise<void> {
  if (!hasSameLayout(image, wanted))
    throw new MblError(
      'cli/needs-reset',
      `The build divides the disk in another way than board ${name} does.`,
      {
        remedy: `Make the board anew: ./mbl board reset ${name}`,
      },
    );
  const brought = join(directory, wanted.flash.file);
  const why = hindrance(image, wanted) ?? (await firmwareHindrance(image, flashPath, wanted, brought));
  if (why !== undefined)
    throw new MblError('cli/needs-flash', `Board ${name} cannot be updated over the air: ${why}.`, {
      remedy: `Flash it, its identity and data are kept: ./mbl up ${name} --reflash`,
    });
}

/** Does what a board that is there may fail at, and names the way that remains then. */
export async function orReflash<T>(board: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof MblError) || !error.code.startsWith('cli/')) throw error;
    const { code, message, remedy = '', cause, details } = error;
    throw new MblError(code, message, {
      remedy: `${sentence(remedy)}Or flash the board, its identity and data are kept: ./mbl up ${board} --reflash`,
      ...(cause === undefined ? {} : { cause }),
      ...(details === undefined ? {} : { details }),
    });
  }
}

function sentence(text: string): string {
  if (text === '') return '';
  return text.endsWith('.') ? `${text} ` : `${text}. `;
}

function hindrance(image: Image, wanted: Image): string | undefined {
  if (!hasSameLayout(image, wanted)) return 'the build divides the disk in another way';
  if (image.keys !== wanted.keys)
    return `it trusts ${image.keys} keys, and the build is signed with ${wanted.keys} keys`;
  if (wanted.keys !== 'development')
    return 'the releases of production keys are made and signed by hand (./mbl release create)';
  return undefined;
}

/** A board takes another boot firmware where it has a bank for it, and a BL1 that trusts who signed it. */
async function firmwareHindrance(
  image: Image,
  flash: string,
  wanted: Image,
  brought: string,
): Promise<string | undefined> {
  const [has, brings] = [image.components['boot-firmware'], wanted.components['boot-firmware']];
  if (has.sha256 === brings.sha256) return undefined;
  if (image.flash.parts['bank_b'] === undefined)
    return 'the build has another boot firmware, and the board no second bank for it';
  const [own, others] = [await firmwareOwner(flash, image), await firmwareOwner(brought, wanted)];
  return own !== undefined && own === others
    ? undefined
    : 'the boot firmware of the build is signed with another key set';
}

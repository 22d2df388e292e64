// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type FactoryFiles, provisionDisk } from '@mbl/factory';
import { type FactoryConfiguration, formatFactory } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { Board, type BoardFile } from './board.ts';
import { boardFiles } from './emulator.ts';
import { readBoardImage } from './image.ts';
import { environmentOfTools, runCommand } from './processes.ts';
import { reflash } from './reflash.ts';
import { readRunState } from './run-state.ts';
import { copySparse } from './sparse-copy.ts';

export interface CreateBoardOptions {
  readonly directory: string;
  /** A board that is there already, and off, gives way when the new one is complete. Without this the folder must not exist. */
  readonly replace?: boolean;
  readonly name: string;
  /** A build: `flash.bin`, `disk.img`, `image.json`. */
  readonly imageDirectory: string;
  /** What becomes `factory.json`; absent: the factory partition stays as the build made it. */
  readonly factory?: FactoryConfiguration;
  /** More files for the factory partition. `authorized_keys` is there by itself. */
  readonly factoryFiles?: FactoryFiles;
  /** A private key with its `.pub` beside it; default: the board gets its own. */
  readonly sshKey?: string;
  /** Default `root`. */
  readonly sshUser?: string;
  readonly signal?: AbortSignal;
}

/** Makes a board of a build. Errors: `lab/board-exists`, `lab/board-running`, `lab/disk-full`, those of
 * `readBoardImage` and `provisionDisk`. */
export async function createBoard(options: CreateBoardOptions): Promise<Board> {
  const { signal, replace = false } = options;
  const directory = resolve(options.directory);
  const imageDirectory = resolve(options.imageDirectory);
  checkName(options.name);
  if (replace) checkOff(directory, options.name);
  else await checkAbsent(directory, options.name);
  const image = await readBoardImage(imageDirectory);
  return await buildFolder(directory, replace, async (work) => {
    const disk = join(work, boardFiles.disk);
    await copySparse(join(imageDirectory, image.flash.file), join(work, boardFiles.flash), signal);
    await copySparse(join(imageDirectory, image.disk.file), disk, signal);
    await copySparse(join(imageDirectory, 'image.json'), join(work, 'image.json'), signal);
    const key = options.sshKey === undefined ? await makeSshKey(work, options.name) : resolve(options.sshKey);
    const files: FactoryFiles | undefined = options.factory && {
      'factory.json': formatFactory(options.factory),
      authorized_keys: await readFile(`${key}.pub`, 'utf8'),
      ...options.factoryFiles,
    };
    await provisionDisk({
      disk,
      files,
      partitions: image.disk.partitions,
      env: environmentOfTools(),
      signal,
    });
    await writeBoardFile(work, {
      version: 1,
      name: options.name,
      imageDirectory,
      buildId: image.buildId,
      ssh: {
        user: options.sshUser ?? 'root',
        key: options.sshKey === undefined ? join(directory, 'ssh_key') : key,
      },
    });
  });
}

/** Finds a board by its folder. Error: `lab/unknown-board`. */
export async function openBoard(directory: string): Promise<Board> {
  const folder = resolve(directory);
  const path = join(folder, 'board.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unknownBoard(folder, cause);
  });
  return new Board(folder, parseBoardFile(text, path), await readBoardImage(folder));
}

function unknownBoard(folder: string, cause: unknown): MblError {
  return new MblError('lab/unknown-board', `There is no board in ${folder}.`, {
    remedy: 'See which there are: ./mbl board list. Make one with: ./mbl up',
    cause,
    details: { folder },
  });
}

/** Removes a board that is off, whatever state its folder is in. Errors: `lab/unknown-board`, `lab/board-running`. */
export async function removeBoard(directory: string): Promise<void> {
  const folder = resolve(directory);
  await stat(folder).catch((cause: unknown) => {
    throw unknownBoard(folder, cause);
  });
  checkOff(folder, basename(folder));
  await rm(folder, { recursive: true, force: true });
}

/**
 * Copies a board that is off, with its identity and all, to the folder beside it: two boards then claim to be the same device.
 */
export async function cloneBoard(board: Board, name: string): Promise<Board> {
  checkName(name);
  const directory = join(dirname(board.directory), name);
  await checkAbsent(directory, name);
  checkOff(board.directory, board.name);
  return await buildFolder(directory, false, async (work) => {
    const own = board.file.ssh.key === join(board.directory, 'ssh_key');
    const keyFiles = own ? ['ssh_key', 'ssh_key.pub'] : [];
    for (const file of [boardFiles.flash, boardFiles.disk, 'image.json', ...keyFiles]) {
      await copySparse(join(board.directory, file), join(work, file));
    }
    const ssh = own ? { ...board.file.ssh, key: join(directory, 'ssh_key') } : board.file.ssh;
    // ssh refuses a key that others can read.
    if (own) await chmod(join(work, 'ssh_key'), 0o600);
    await writeBoardFile(work, { ...board.file, name, ssh });
  });
}

/**
 * Puts another build on a board that is off: firmware, kernel and root are the new build's, factory configuration, identity and data
 * stay. Returns the board with its new image. Error: `lab/layout-changed`.
 */
export async function reflashBoard(
  board: Board,
  imageDirectory: string,
  options: { signal?: AbortSignal } = {},
): Promise<Board> {
  checkOff(board.directory, board.name);
  const from = resolve(imageDirectory);
  const image = await readBoardImage(from);
  await reflash(board.directory, board.image, from, image, options.signal);
  // Last: a board whose reflash was interrupted still names the old build, so the next attempt does it again.
  return await adoptBuild(board, from, options);
}

/** Notes that a board has another build now: somebody flashed it, or it installed it by itself. Returns the board with its new image. */
export async function adoptBuild(
  board: Board,
  imageDirectory: string,
  options: { signal?: AbortSignal } = {},
): Promise<Board> {
  const from = resolve(imageDirectory);
  const { buildId } = await readBoardImage(from);
  await copySparse(join(from, 'image.json'), join(board.directory, 'image.json'), options.signal);
  await writeBoardFile(board.directory, { ...board.file, imageDirectory: from, buildId });
  return await openBoard(board.directory);
}

/** Fills a folder under another name first, so that a board is there completely or not at all. */
async function buildFolder(
  directory: string,
  replace: boolean,
  fill: (work: string) => Promise<void>,
): Promise<Board> {
  const work = `${directory}.partial`;
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  try {
    await fill(work);
    if (replace) await rm(directory, { recursive: true, force: true });
    await rename(work, directory);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  return await openBoard(directory);
}

function checkName(name: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name)) {
    throw new MblError('lab/board-name', `${JSON.stringify(name)} is no name for a board.`, {
      remedy: 'Use letters, digits, dot, hyphen and underscore, 64 at most.',
    });
  }
}

/** Nobody touches the disk of a board that runs. Errors: `lab/board-running`. */
export function checkOff(directory: string, name: string): void {
  if (readRunState(directory) === undefined) return;
  throw new MblError('lab/board-running', `Board ${name} is running.`, {
    remedy: `Stop it first with: ./mbl down ${name}`,
  });
}

async function checkAbsent(directory: string, name: string): Promise<void> {
  const exists = await stat(directory).then(
    () => true,
    () => false,
  );
  if (exists) {
    throw new MblError('lab/board-exists', `Board ${name} is there already: ${directory}.`, {
      remedy: `Run it as it is, choose another name, or remove it: ./mbl board remove ${name}`,
      details: { directory },
    });
  }
}

async function writeBoardFile(directory: string, file: BoardFile): Promise<void> {
  const path = join(directory, 'board.json');
  await writeFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`);
  await rename(`${path}.new`, path);
}

function parseBoardFile(text: string, path: string): BoardFile {
  try {
    const file = JSON.parse(text) as BoardFile;
    const texts = [file.name, file.imageDirectory, file.buildId, file.ssh.user, file.ssh.key];
    if (file.version === 1 && texts.every((value) => typeof value === 'string')) return file;
  } catch {
    // Said below.
  }
  throw new MblError('lab/board-invalid', `${path} is damaged.`, {
    remedy: `Remove the board and make it again: ./mbl board remove ${basename(dirname(path))}`,
    details: { path },
  });
}

async function makeSshKey(directory: string, comment: string): Promise<string> {
  const key = join(directory, 'ssh_key');
  const result = await runCommand('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', key], {
    debianPackage: 'openssh-client',
  });
  if (result.code !== 0) {
    throw new MblError('lab/ssh-key-failed', `ssh-keygen could not make a key: ${result.stderr.trim()}`, {
      remedy: `Check that ${directory} can be written.`,
    });
  }
  return key;
}

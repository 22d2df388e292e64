// SPDX-License-Identifier: Apache-2.0
//
// A team that builds, signs and brings apps to a board by hand: what the service and the device's client do is done over ssh.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type AppDescription, type AppReleaseStatus, parseApp } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { acceptApps, Client, folderSource, memoryStore } from '@mbl/releases';
import { run } from '../attacks.ts';
import { mblJson, root } from '../mbl.ts';
import { until } from '../world.ts';

/** Lines of `app.yaml` beside name, version and root; and what the app says. */
export interface TickerPlan {
  readonly lines?: readonly string[];
  readonly argument?: string;
  /** Another program than `ticker.c`: the path of its source. */
  readonly source?: string;
  /** More in its file system, by its path there; programs too. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Files that its volume may hold; default 16. */
  readonly volumeFiles?: number;
  /** The app is that of this release, to the byte. */
  readonly as?: string;
}

export class Team {
  readonly name: string;
  readonly #folder: string;
  #keyed = false;
  #wanted = '';
  readonly #releases = new Map<string, readonly { readonly app: AppDescription; readonly image: string }[]>();

  constructor(name: string, folder: string) {
    this.name = name;
    this.#folder = folder;
  }

  get repository(): string {
    return join(this.#folder, 'repository');
  }

  /** Builds the apps and makes a signed release of them. */
  async release(name: string, apps: Readonly<Record<string, TickerPlan>>, rollbackIndex = 0): Promise<void> {
    await this.stage(name, apps, rollbackIndex);
    await this.sign();
  }

  /** The same without signatures. */
  async stage(name: string, apps: Readonly<Record<string, TickerPlan>>, rollbackIndex = 0): Promise<void> {
    await this.#key();
    const packages: string[] = [];
    for (const [app, plan] of Object.entries(apps)) {
      if (plan.as !== undefined) {
        packages.push(join(this.#folder, 'packages', `${app}-${plan.as}`));
        continue;
      }
      const { lines = [], argument = app, files = {}, source: code, volumeFiles = 16 } = plan;
      const source = join(this.#folder, `${app}-${name}`);
      await mkdir(join(source, 'root/bin'), { recursive: true });
      const flags = ['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-s'];
      const program = join(source, 'root/bin/ticker');
      await run('aarch64-linux-gnu-gcc', [
        ...flags,
        '-fno-tree-loop-distribute-patterns',
        '-o',
        program,
        code ?? join(import.meta.dirname, 'ticker.c'),
      ]);
      for (const [file, bytes] of Object.entries(files))
        await writeFile(join(source, 'root', file), bytes, { mode: 0o755 });
      await writeFile(join(source, 'root/version'), `${app} ${name}\n`);
      const yaml = [
        `name: ${app}`,
        `version: "${name}"`,
        'source: { root: root }',
        `command: [/bin/ticker, ${argument}]`,
        `volumes: { state: { path: /var/lib/ticker, size: 1 MiB, files: ${volumeFiles} } }`,
        ...lines,
      ];
      await writeFile(join(source, 'app.yaml'), `${yaml.join('\n')}\n`);
      const output = join(this.#folder, 'packages', `${app}-${name}`);
      await mblJson(['app', 'build', source, '--output', output], { timeout: 240_000 });
      packages.push(output);
    }
    const index = ['--rollback-index', String(rollbackIndex)];
    await this.#mbl('create', name, ...packages, '--team', this.name, '--level', '3', ...index);
    const built = await Promise.all(
      packages.map(async (folder) => {
        const app = parseApp(await readFile(join(folder, 'app.json'), 'utf8'), folder);
        return { app, image: join(folder, app.image.file) };
      }),
    );
    this.#releases.set(name, built);
  }

  /** Signs and publishes what waits. */
  async sign(): Promise<void> {
    await this.#mbl('sign', '--key', `${await this.#key()}.key`);
    await this.#mbl('sign');
  }

  async #mbl(...words: readonly string[]): Promise<void> {
    const [verb = '', ...rest] = words;
    await mblJson(['release', verb, ...rest, '--repository', this.repository], { timeout: 240_000 });
  }

  /** The team's own key, which the repository lets sign for it. */
  async #key(): Promise<string> {
    const key = join(this.#folder, `team-${this.name}`);
    if (this.#keyed) return key;
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    await writeFile(`${key}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    await writeFile(`${key}.pub`, publicKey.export({ type: 'spki', format: 'pem' }));
    await this.#mbl('sign');
    await this.#mbl('role', this.name, '--add-key', `${key}.pub`);
    await this.#mbl('sign');
    this.#keyed = true;
    return key;
  }

  /** What a release has, and the files of the images. */
  built(release: string): readonly { readonly app: AppDescription; readonly image: string }[] {
    return this.#releases.get(release) ?? [];
  }

  /** Leaves on the board what `mbl-cloud-client` and `mbl-platformd` would, and has it installed. */
  async bring(board: Board, release: string, damage = false): Promise<void> {
    for (const { app, image } of this.built(release)) {
      const bytes = await readFile(image);
      if (damage) bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
      await put(board, `/data/apps/incoming/${app.image.sha256}.erofs`, bytes);
    }
    await put(board, `/data/apps/orders/${this.name}.json`, await this.order(release));
    await this.want(board, release);
  }

  /** '' for nothing. */
  async want(board: Board, release: string): Promise<void> {
    this.#wanted = release;
    const releases = release === '' ? [] : [{ team: this.name, release }];
    await put(board, '/data/apps/orders/desired.json', JSON.stringify({ version: 1, releases }));
    await must(board, 'mkdir -p /run/mbl-platformd && : >/run/mbl-platformd/apps');
  }

  /** Waits until the release that was wanted last stands like this. */
  async stands(board: Board, ...states: readonly AppReleaseStatus['state'][]): Promise<AppReleaseStatus> {
    let last = '';
    try {
      return await until(
        `${this.name} ${states.join(' or ')}`,
        async () => {
          const { stdout } = await board.ssh('cat /run/mbl/apps/status.json');
          last = stdout;
          const { releases = [] } = (stdout === '' ? {} : JSON.parse(stdout)) as {
            releases?: AppReleaseStatus[];
          };
          return releases.find(
            ({ team, release, state }) =>
              team === this.name && release === this.#wanted && states.includes(state),
          );
        },
        300_000,
      );
    } catch (error) {
      const { stdout } = await board.ssh(
        'journalctl -b -o cat -u mbl-apps --no-pager | tail -30; journalctl -b --no-pager | tail -60',
      );
      throw new Error(`${String(error)}: ${last}\n${stdout}`, { cause: error });
    }
  }

  /** The metadata that a board needs, taken down while this process judges the release itself. */
  async order(release: string): Promise<string> {
    const born = await readFile(join(root, '.mbl/keys/release-root.json'));
    const files = new Map<string, string>();
    const folder = folderSource(this.repository);
    const source = {
      async open(path: string) {
        const found = await folder.open(path);
        const pieces: Uint8Array[] = [];
        if (found !== undefined) for await (const piece of found) pieces.push(piece);
        files.set(path, Buffer.concat(pieces).toString('utf8'));
        return found && Readable.from(pieces);
      },
    };
    const client = await Client.open({ root: born, source, store: memoryStore(), now: new Date() });
    await acceptApps(client, { team: this.name, name: release }, { keys: 'development', rollbackIndex: 0 });
    const metadata = [...files].map(([name, content]) => ({ name, content }));
    return JSON.stringify({ version: 1, team: this.name, release, metadata });
  }
}

/** A file of the board, whole or not at all, and on the disk once this resolved. */
export async function put(board: Board, path: string, content: string | Uint8Array): Promise<void> {
  const { code, stderr } = await board.ssh(
    `cat >${path}.part && sync ${path}.part && mv ${path}.part ${path} && sync ${dirname(path)}`,
    {
      input: content,
      timeoutMs: 240_000,
    },
  );
  assert.equal(code, 0, stderr);
}

/** The output of a command on the board that ends well. */
export async function must(board: Board, command: string): Promise<string> {
  const { code, stdout, stderr } = await board.ssh(command, { timeoutMs: 240_000 });
  assert.equal(code, 0, `${command}: ${stdout}${stderr}`);
  return stdout.trim();
}

// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { type CommandResult, commandFailed, runCommand } from './command.ts';
import type { Fetcher, Wanted } from './downloads.ts';
import type { DebianMirrors } from './mirror.ts';

/** The trust in everything that comes from a mirror: apt checks each index against these keys. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface AptOptions {
  /** The cache folder; each root has a folder of its own in `<cache>/apt`. */
  readonly cache: string;
  readonly mirrors: DebianMirrors;
  readonly architecture: 'arm64' | 'amd64';
  /** `trixie`, `sid`. Stable suites bring their `-updates` and `-security` with them. */
  readonly suite: string;
  /** What the indexes are about: binary packages or source packages. */
  readonly kind: 'binary' | 'source';
  readonly signal?: AbortSignal | undefined;
}

/**
 * apt in an isolated root: own sources, lists, cache and state, an empty dpkg status, no recommends, no hooks of the host. Only the
 * host's `Acquire` settings (proxies, retries) are taken over. Runs without privileges.
 */
export class Apt {
  readonly options: AptOptions;
  readonly #folder: string;
  #updated: Promise<void> | undefined;

  constructor(options: AptOptions) {
    this.options = options;
    const { suite, architecture, kind, mirrors } = options;
    const place = createHash('sha256').update(JSON.stringify(mirrors)).digest('hex').slice(0, 8);
    this.#folder = join(options.cache, 'apt', `${suite}-${architecture}-${kind}-${place}`);
  }

  /** Fetches the indexes, once in the life of this object. Throws `builder/no-network`, `builder/debian-keys`, `builder/mirror`. */
  update(): Promise<void> {
    this.#updated ??= this.#update();
    return this.#updated;
  }

  /** Runs an apt program (`apt-get`, `apt-cache`) against the isolated root, after the first `update`. */
  async run(program: string, args: readonly string[], tolerant = false): Promise<CommandResult> {
    await this.update();
    return this.#run(program, args, tolerant);
  }

  /** A fetcher over apt's own transports; `uri` of each item names it. Files that the mirror does not have are left out. */
  fetcher<T extends Wanted & { readonly uri: string }>(): Fetcher<T> {
    return async (missing) => {
      await this.#prepare();
      const args = missing.flatMap(({ wanted, target }) => [wanted.uri, target, `SHA256:${wanted.sha256}`]);
      const result = await this.#run('/usr/lib/apt/apt-helper', ['download-file', ...args], true);
      if (result.status !== 0 && isNetworkTrouble(result)) throw noNetwork(result);
    };
  }

  async #update(): Promise<void> {
    await this.#prepare();
    const args = ['update', '--error-on=any'];
    const result = await this.#run('apt-get', args, true);
    if (result.status === 0) return;
    const text = `${result.stdout.toString()}${result.stderr}`;
    if (isNetworkTrouble(result)) throw noNetwork(result);
    if (/NO_PUBKEY|EXPKEYSIG|KEYEXPIRED|is not signed|Missing key/.test(text))
      throw new MblError(
        'builder/debian-keys',
        `The keys in ${KEYRING} do not vouch for ${this.options.suite}.`,
        {
          remedy:
            'Install a newer debian-archive-keyring (apt-get install --only-upgrade debian-archive-keyring).',
          cause: commandFailed('apt-get', args, result),
        },
      );
    const { main, security } = this.options.mirrors;
    throw new MblError(
      'builder/mirror',
      `The mirrors ${main} and ${security} do not serve ${this.options.suite}.`,
      {
        remedy: 'Set MBL_DEBIAN_MIRROR and MBL_DEBIAN_SECURITY_MIRROR to mirrors that do.',
        cause: commandFailed('apt-get', args, result),
      },
    );
  }

  async #prepare(): Promise<void> {
    await access(KEYRING).catch((cause: unknown) => {
      throw new MblError(
        'builder/debian-keys',
        `Debian's archive keys (${KEYRING}) are not on this machine.`,
        {
          remedy: 'Run: apt-get install debian-archive-keyring',
          cause,
        },
      );
    });
    for (const name of ['lists/partial', 'cache/archives/partial', 'state'])
      await mkdir(join(this.#folder, name), { recursive: true });
    await writeFile(join(this.#folder, 'status'), '');
    await writeFile(join(this.#folder, 'sources.list'), this.#sources());
    const acquire = await runCommand('apt-config', ['dump', '--no-empty', 'Acquire']);
    const host = acquire.stdout
      .toString()
      .split('\n')
      .filter((line) => /^Acquire::(http|https|ftp|Retries|Check-|Proxy|ForceIPv)/i.test(line));
    await writeFile(join(this.#folder, 'apt.conf'), [...host, ...this.#settings(), ''].join('\n'));
  }

  #sources(): string {
    const { suite, kind, mirrors } = this.options;
    const type = kind === 'source' ? 'deb-src' : 'deb';
    const line = (uri: string, name: string): string =>
      `${type} [signed-by=${KEYRING}] ${uri} ${name} main\n`;
    if (/^(sid|unstable|experimental|forky|testing)$/.test(suite)) return line(mirrors.main, suite);
    return (
      line(mirrors.main, suite) +
      line(mirrors.main, `${suite}-updates`) +
      line(mirrors.security, `${suite}-security`)
    );
  }

  #settings(): string[] {
    const folder = this.#folder;
    const { architecture, kind } = this.options;
    return [
      'Dir::Etc::main "/dev/null";',
      'Dir::Etc::parts "/dev/null";',
      'Dir::Etc::preferences "/dev/null";',
      'Dir::Etc::preferencesparts "/dev/null";',
      `Dir::Etc::sourcelist "${folder}/sources.list";`,
      'Dir::Etc::sourceparts "/dev/null";',
      `Dir::State "${folder}/state";`,
      `Dir::State::lists "${folder}/lists";`,
      `Dir::State::status "${folder}/status";`,
      `Dir::Cache "${folder}/cache";`,
      `Dir::Log "${folder}/log";`,
      `APT::Architecture "${architecture}";`,
      'APT::Architectures "";',
      `APT::Architectures { "${architecture}"; };`,
      'APT::Install-Recommends "false";',
      'APT::Install-Suggests "false";',
      'APT::Get::AllowUnauthenticated "false";',
      // As root apt would hand the download to a user that cannot write here; the files are checked by hash in any case.
      'APT::Sandbox::User "";',
      'Acquire::Languages "none";',
      'Acquire::AllowInsecureRepositories "false";',
      'Acquire::Queue-Mode "access";',
      // Firmware sources come from a rolling suite, whose index mirrors keep past its date. It must still be signed, and the lock then
      // holds the versions: an old index can delay a new source, never bring one that Debian did not publish.
      ...(kind === 'source' ? ['Acquire::Check-Valid-Until "false";'] : []),
    ];
  }

  /** `flock` lets two builds share the cache: apt itself gives up when its lists are locked. */
  #run(program: string, args: readonly string[], tolerant: boolean): Promise<CommandResult> {
    return runCommand('flock', ['-w', '300', join(this.#folder, 'lock'), program, ...args], {
      env: {
        ...process.env,
        APT_CONFIG: join(this.#folder, 'apt.conf'),
        LC_ALL: 'C.UTF-8',
        DEBIAN_FRONTEND: 'noninteractive',
      },
      tolerant,
      signal: this.options.signal,
    });
  }
}

const isNetworkTrouble = (result: CommandResult): boolean =>
  /Temporary failure resolving|Could not resolve|Could not connect|Connection timed out|Connection failed|Network is unreachable|Unable to connect/.test(
    `${result.stdout.toString()}${result.stderr}`,
  );

const noNetwork = (result: CommandResult): MblError => {
  const line = /(?:Temporary failure|Could not|Connection|Network|Unable)[^\n]*/.exec(
    `${result.stdout.toString()}${result.stderr}`,
  );
  return new MblError(
    'builder/no-network',
    `The Debian mirror cannot be reached: ${line?.[0].trim() ?? 'no answer'}.`,
    {
      remedy:
        'Check the network, a proxy in /etc/apt/apt.conf.d, or MBL_DEBIAN_MIRROR, then run the build again.',
    },
  );
};

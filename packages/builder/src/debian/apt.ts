// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MblError } from '@mbl/trust';
import { type CommandResult, commandFailed, runCommand } from './command.ts';
import type { Fetcher, Wanted } from './downloads.ts';
import { archiveOf, type DebianArchives, type DebianMirrors } from './mirror.ts';

/**
 * How long an index of a rolling suite counts after it was made, in seconds: 180 days. Mirrors keep those suites past the date in their
 * `Valid-Until`, a week; and what comes from there (firmware sources) is held to the least versions of os/firmware/advisories.yaml, so an
 * index that was held back cannot bring a known hole. The stable suites' indexes count until the date in them, unless this machine's own
 * apt was told not to look at dates (`Acquire::Check-Valid-Until`, for a mirror that stands still).
 */
const ROLLING_VALIDITY = 180 * 24 * 3600;

/** The trust in everything that comes from a mirror: apt checks each index against these keys. */
const DEBIAN_KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface AptOptions {
  /** The cache folder; each root has a folder of its own in `<cache>/apt`. */
  readonly cache: string;
  readonly mirrors: DebianMirrors;
  readonly architecture: 'arm64' | 'amd64';
  /** `trixie`, `sid`. Stable suites bring their `-updates` and `-security` with them. */
  readonly suite: string;
  /** What the indexes are about: binary packages or source packages. */
  readonly kind: 'binary' | 'source';
  /** The keys that must have signed the indexes. Default: Debian's. */
  readonly keyring?: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * apt in an isolated root: own sources, lists, cache and state, an empty dpkg status, no recommends, no hooks of the host. Only the
 * host's ways to the network (proxies, retries) are taken over: what counts as a good index is decided here. Runs without privileges.
 */
export class Apt {
  readonly options: AptOptions;
  readonly #folder: string;
  readonly #keyring: string;
  #updated: Promise<void> | undefined;

  constructor(options: AptOptions) {
    this.options = options;
    const { suite, architecture, kind, mirrors } = options;
    this.#keyring = options.keyring ?? DEBIAN_KEYS;
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

  /**
   * A fetcher over apt's own transports. What the mirrors do not have is asked of the snapshot, when there is one; what that does not have
   * either is left out.
   */
  fetcher<T extends Wanted>(): Fetcher<T> {
    return async (missing) => {
      await this.#prepare();
      const { mirrors } = this.options;
      let trouble = await this.#download(missing, mirrors);
      if (mirrors.snapshot !== undefined) {
        const absent = [];
        for (const each of missing) if (!(await isThere(each.target))) absent.push(each);
        // Years later there may be no mirror at all any more: only what the snapshot says counts then.
        if (absent.length > 0) trouble = await this.#download(absent, mirrors.snapshot);
      }
      if (trouble !== undefined) throw trouble;
    };
  }

  /** Returns the error when an archive could not be reached. */
  async #download(
    missing: Parameters<Fetcher<Wanted>>[0],
    archives: DebianArchives,
  ): Promise<MblError | undefined> {
    const args = missing.flatMap(({ wanted, target }) => [
      `${archiveOf(wanted, archives)}/${wanted.path}`,
      target,
      `SHA256:${wanted.sha256}`,
    ]);
    const result = await this.#run('/usr/lib/apt/apt-helper', ['download-file', ...args], true);
    return result.status !== 0 && isNetworkTrouble(result) ? noNetwork(result) : undefined;
  }

  async #update(): Promise<void> {
    await this.#prepare();
    const args = ['update', '--error-on=any'];
    const result = await this.#run('apt-get', args, true);
    if (result.status === 0) return;
    const text = `${result.stdout.toString()}${result.stderr}`;
    if (isNetworkTrouble(result)) throw noNetwork(result);
    const expired = /Release file for (\S+) is (expired|not valid yet) \(([^)]*)\)/.exec(text);
    if (expired !== null)
      throw new MblError(
        'builder/mirror-expired',
        `The index ${expired[1]} is ${expired[2]} (${expired[3]}): the mirror may hold security updates back.`,
        {
          remedy:
            'Check the clock, or set MBL_DEBIAN_MIRROR and MBL_DEBIAN_SECURITY_MIRROR to mirrors that are kept up to date; for the versions of an earlier day set MBL_DEBIAN_SNAPSHOT.',
        },
      );
    if (/NO_PUBKEY|EXPKEYSIG|KEYEXPIRED|is not signed|Missing key/.test(text))
      throw new MblError(
        'builder/debian-keys',
        `The keys in ${this.#keyring} do not vouch for ${this.options.suite}.`,
        {
          remedy:
            'Install a newer debian-archive-keyring (apt-get install --only-upgrade debian-archive-keyring).',
          cause: commandFailed('apt-get', args, result),
        },
      );
    const { main, security } = this.#indexes;
    throw new MblError(
      'builder/mirror',
      `The mirrors ${main} and ${security} do not serve ${this.options.suite}.`,
      {
        remedy:
          'Set MBL_DEBIAN_MIRROR and MBL_DEBIAN_SECURITY_MIRROR to mirrors that do, or MBL_DEBIAN_SNAPSHOT to a snapshot of a time when it was there.',
        cause: commandFailed('apt-get', args, result),
      },
    );
  }

  async #prepare(): Promise<void> {
    await access(this.#keyring).catch((cause: unknown) => {
      throw new MblError(
        'builder/debian-keys',
        `Debian's archive keys (${this.#keyring}) are not on this machine.`,
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
    const { main, security } = this.#indexes;
    const rolling = /^(sid|unstable|experimental|forky|testing)$/.test(suite);
    const options = [`signed-by=${this.#keyring}`];
    // A snapshot is past its date by nature.
    if (mirrors.snapshot !== undefined) options.push('check-valid-until=no');
    else if (rolling) options.push(`valid-until-min=${ROLLING_VALIDITY}`);
    const type = kind === 'source' ? 'deb-src' : 'deb';
    const line = (uri: string, name: string): string =>
      `${type} [${options.join(' ')}] ${uri} ${name} main\n`;
    if (rolling) return line(main, suite);
    return line(main, suite) + line(main, `${suite}-updates`) + line(security, `${suite}-security`);
  }

  get #indexes(): DebianArchives {
    return this.options.mirrors.snapshot ?? this.options.mirrors;
  }

  #settings(): string[] {
    const folder = this.#folder;
    const { architecture } = this.options;
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

/** `keyring` of some options, when it is there. */
export const keyringOf = ({ keyring }: { readonly keyring?: string }): { readonly keyring?: string } =>
  keyring === undefined ? {} : { keyring };

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

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

// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';

/** A package of the mirror: its name, version, and what it depends on (Debian Policy §7). */
export interface FakePackage {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  readonly conflicts?: string;
}

export interface FakeSuite {
  /** `dists/<name>` */
  readonly name: string;
  readonly packages?: readonly FakePackage[];
  /** Names and versions of source packages. */
  readonly sources?: readonly { readonly name: string; readonly version: string }[];
  readonly date?: Date;
  readonly validUntil?: Date;
}

/** Keys that sign indexes as Debian's do, in `folder`. */
export class FakeKeys {
  readonly keyring: string;
  readonly #home: string;

  constructor(folder: string) {
    this.#home = join(folder, 'gnupg');
    this.keyring = join(folder, 'keyring.gpg');
    mkdirSync(this.#home, { mode: 0o700 });
    this.#gpg(['--quick-generate-key', 'Archive <archive@example.org>', 'ed25519', 'sign', 'never']);
    writeFileSync(this.keyring, this.#gpg(['--export']));
  }

  sign(text: string): Buffer {
    return this.#gpg(['--clearsign'], text);
  }

  /** Ends the agent that gpg started. */
  close(): void {
    execFileSync('gpgconf', ['--homedir', this.#home, '--kill', 'gpg-agent'], { stdio: 'ignore' });
    rmSync(this.#home, { recursive: true, force: true });
  }

  #gpg(args: readonly string[], input = ''): Buffer {
    const options = [
      '--homedir',
      this.#home,
      '--batch',
      '--quiet',
      '--passphrase',
      '',
      '--pinentry-mode',
      'loopback',
    ];
    return execFileSync('gpg', [...options, ...args], { input, stdio: ['pipe', 'pipe', 'pipe'] });
  }
}

/** An HTTP server on the loopback with archives below paths of its own, `/debian`, each with suites and a pool. */
export class FakeMirror {
  readonly #server: Server;
  readonly #files = new Map<string, Buffer>();
  readonly #folder: string;
  readonly #keys: FakeKeys;
  /** Paths that were asked for, in order. */
  readonly asked: string[] = [];

  constructor(folder: string, keys: FakeKeys) {
    this.#folder = folder;
    this.#keys = keys;
    this.#server = createServer(({ url = '' }, answer) => {
      this.asked.push(url);
      const body = this.#files.get(decodeURIComponent(url));
      answer.writeHead(body === undefined ? 404 : 200).end(body);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The address of an archive: `archive` is its path, such as `/debian`. */
  uri(archive: string): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}${archive}`;
  }

  /** Publishes a stable suite with its `-updates` and, in `<archive>-security`, its `-security`, all with the dates of `suite`. */
  publishStable(archive: string, suite: FakeSuite): void {
    const { date, validUntil } = suite;
    const dates = { ...(date && { date }), ...(validUntil && { validUntil }) };
    this.publish(archive, suite);
    this.publish(archive, { name: `${suite.name}-updates`, ...dates });
    this.publish(archive.replace('/debian', '/debian-security'), {
      name: `${suite.name}-security`,
      ...dates,
    });
  }

  /** Publishes a suite, in place of what was there under its name. Files stay in the pool until `clean`. */
  publish(archive: string, suite: FakeSuite): void {
    const { name, packages = [], sources = [], date = new Date(), validUntil } = suite;
    const indexes = {
      'main/binary-arm64/Packages': packages.map((each) => this.#addPackage(archive, each)).join('\n'),
      'main/source/Sources': sources.map((each) => this.#addSource(archive, each)).join('\n'),
    };
    const lines = Object.entries(indexes).map(([path, text]) => {
      this.#files.set(`${archive}/dists/${name}/${path}`, Buffer.from(text));
      return ` ${sha256(text)} ${Buffer.byteLength(text)} ${path}`;
    });
    const release = [
      'Origin: Debian',
      `Suite: ${name}`,
      `Codename: ${name}`,
      `Date: ${date.toUTCString().replace('GMT', 'UTC')}`,
      ...(validUntil ? [`Valid-Until: ${validUntil.toUTCString().replace('GMT', 'UTC')}`] : []),
      'Architectures: arm64',
      'Components: main',
      'SHA256:',
      ...lines,
      '',
    ].join('\n');
    this.#files.set(`${archive}/dists/${name}/InRelease`, this.#keys.sign(release));
  }

  /** Removes files whose path holds `text` from an archive's pool. */
  clean(archive: string, text: string): void {
    for (const path of this.#files.keys())
      if (path.startsWith(`${archive}/pool/`) && path.includes(text)) this.#files.delete(path);
  }

  #addPackage(archive: string, { name, version, depends, conflicts }: FakePackage): string {
    const control = [
      `Package: ${name}`,
      `Version: ${version}`,
      'Architecture: arm64',
      'Maintainer: A <a@example.org>',
      ...(depends === undefined ? [] : [`Depends: ${depends}`]),
      ...(conflicts === undefined ? [] : [`Conflicts: ${conflicts}`]),
      'Description: test',
    ];
    const work = join(this.#folder, `${name}-${version}`);
    mkdirSync(join(work, 'DEBIAN'), { recursive: true });
    writeFileSync(join(work, 'DEBIAN/control'), `${control.join('\n')}\n`);
    const env = { ...process.env, SOURCE_DATE_EPOCH: '1' };
    const options = { stdio: 'pipe', env } as const;
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-b', work, `${work}.deb`], options);
    const deb = readFileSync(`${work}.deb`);
    const path = `pool/main/${name}_${version}_arm64.deb`;
    this.#files.set(`${archive}/${path}`, deb);
    const file = [`Filename: ${path}`, `Size: ${deb.length}`, `SHA256: ${sha256(deb)}`, ''];
    return [...control, ...file].join('\n');
  }

  #addSource(
    archive: string,
    { name, version }: { readonly name: string; readonly version: string },
  ): string {
    const dsc = Buffer.from(`${name} ${version}`);
    const file = `${name}_${version}.dsc`;
    this.#files.set(`${archive}/pool/${file}`, dsc);
    return [
      `Package: ${name}`,
      `Binary: ${name}`,
      `Version: ${version}`,
      'Architecture: any',
      'Directory: pool',
      `Checksums-Sha256:\n ${sha256(dsc)} ${dsc.length} ${file}`,
      '',
    ].join('\n');
  }
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

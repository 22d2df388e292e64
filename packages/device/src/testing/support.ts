// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, type Log } from '../common/log.ts';
import type { Incident } from '../platform/board.ts';
import type { AppInstallPlan } from '../platform/apps.ts';
import type { Platform } from '../platform/contract.ts';
import type { InstallComponent, InstallPlan, MetadataFile, UpdateState } from '../platform/update.ts';

/** A folder that is removed afterwards. */
export class TemporaryFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'mbl-device-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A log that is kept; `until` waits for a line. */
export class KeptLog {
  readonly lines: string[] = [];
  readonly log: Log = createLog((line) => {
    this.lines.push(line.trimEnd());
    for (const check of this.#waiting) check();
  });
  readonly #waiting = new Set<() => void>();

  /** The n-th line (from 1) that matches. */
  async until(pattern: RegExp, count = 1, timeoutMs = 10_000): Promise<string> {
    const found = () => this.lines.filter((line) => pattern.test(line))[count - 1];
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => done(() => reject(new Error(`no ${pattern} in\n${this.lines.join('\n')}`))),
        timeoutMs,
      );
      const done = (settle: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(check);
        settle();
      };
      const check = () => {
        const line = found();
        if (line !== undefined) done(() => resolve(line));
      };
      this.#waiting.add(check);
      check();
    });
  }
}

/** Waits until `get` gives something. */
export async function eventually<T>(get: () => T | undefined | false, timeoutMs = 10_000): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = get();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A platform in memory. */
export class FakePlatform implements Platform {
  reboots = 0;
  available = 64 * 1024 * 1024;
  fail = false;
  incidents: readonly Incident[] = [];
  update: UpdateState = { state: 'none', release: '', reason: '', detail: '' };
  components: readonly InstallComponent[] = [];
  slotFault = '';
  /** The platform has seen newer metadata than that with this content. */
  older: string | undefined;

  reboot(): Promise<void> {
    this.reboots++;
    return Promise.resolve();
  }

  getMemory() {
    if (this.fail) return Promise.reject(new Error('the bus is gone'));
    return Promise.resolve({ total: 1024 * 1024 * 1024, available: this.available });
  }

  getNetwork() {
    if (this.fail) return Promise.reject(new Error('the bus is gone'));
    const interfaces = [{ name: 'eth0', kind: 'ethernet', addresses: ['10.0.2.15', 'fe80::1'] } as const];
    return Promise.resolve({ interfaces, routers: ['10.0.2.2'] });
  }

  getBoot() {
    return Promise.resolve({ slot: 'a', attempts: 1 });
  }

  getComponents() {
    const versions = { version: '2.12.1-measured', kernel: '6.12.118-1' };
    return Promise.resolve({
      ...versions,
      bank: 'a',
      firmware: 'ab'.repeat(32),
      root: 'cd'.repeat(32),
    });
  }

  getIncidents() {
    return Promise.resolve(this.incidents);
  }

  forgetIncidents({ ids }: { readonly ids: readonly string[] }) {
    this.incidents = this.incidents.filter(({ id }) => !ids.includes(id));
    return Promise.resolve();
  }

  getUpdate() {
    return Promise.resolve(this.update);
  }

  /** Wants one file of metadata, and has one component. */
  checkRelease({
    release,
    metadata,
  }: {
    release: string;
    metadata: readonly MetadataFile[];
  }): Promise<InstallPlan> {
    const [file] = metadata;
    const plan = { missing: '', refused: '', reason: '' as const, name: release, components: [] };
    if (file === undefined) return Promise.resolve({ ...plan, missing: 'metadata/timestamp.json' });
    if (file.content === this.older) {
      const reason = 'update/metadata-rolled-back' as const;
      return Promise.resolve({ ...plan, refused: 'it is older', reason });
    }
    if (!file.content.startsWith('signed')) {
      const reason = 'update/signature-invalid' as const;
      return Promise.resolve({ ...plan, refused: 'nobody signed it', reason });
    }
    return Promise.resolve({ ...plan, components: this.components });
  }

  verifySlot() {
    return Promise.resolve(this.slotFault);
  }

  desired: string[] = [];
  apps = '{"version":1,"releases":[],"apps":[]}';
  asks: string[] = [];
  answers: readonly string[] = [];
  appComponents: readonly InstallComponent[] = [];
  installs: string[] = [];
  appFault: { readonly refused: string; readonly reason: AppInstallPlan['reason'] } | undefined;
  installFault = '';

  setDesiredApps({ desired }: { readonly desired: string }) {
    if (this.fail) return Promise.reject(new Error('the bus is gone'));
    this.desired.push(desired);
    return Promise.resolve();
  }

  getApps() {
    if (this.fail) return Promise.reject(new Error('the bus is gone'));
    return Promise.resolve(this.apps);
  }

  async checkAppRelease({
    team,
    release,
    metadata,
  }: {
    readonly team: string;
    readonly release: string;
    readonly metadata: readonly MetadataFile[];
  }): Promise<AppInstallPlan> {
    const judged = await this.checkRelease({ release, metadata });
    if (judged.missing !== '' || judged.refused !== '') return judged;
    if (this.appFault !== undefined) return { ...judged, ...this.appFault };
    const components = this.appComponents.filter(({ name }) => name.startsWith(team));
    return { ...judged, components };
  }

  installAppRelease({ team, release }: { readonly team: string; readonly release: string }) {
    if (this.installFault !== '') return Promise.reject(new Error(this.installFault));
    this.installs.push(`${team} ${release}`);
    return Promise.resolve();
  }

  askApp({ ask }: { readonly ask: string }) {
    this.asks.push(ask);
    return Promise.resolve();
  }

  getAppAnswers() {
    return Promise.resolve(this.answers);
  }

  startTrial() {
    this.update = { state: 'waits', release: '1.1', reason: '', detail: '' };
    return Promise.resolve();
  }
}

export const imageJson = JSON.stringify({
  version: 1,
  machine: 'qemu-arm64',
  image: 'development',
  buildId: '0123456789abcdef',
  keys: 'development',
  components: {
    'boot-firmware': { version: '2.12.1', sha256: '00' },
    kernel: { version: '6.12.117', sha256: '00' },
    root: { version: '0.1.0' },
  },
});

// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { TemporaryFolder } from './support.ts';

/** The policy as the image has it, with the device's users replaced by whoever runs the test. */
function policy(): string {
  const file = new URL(
    '../../../../os/rootfs/device/usr/share/dbus-1/system.d/com.mbl.Platform1.conf',
    import.meta.url,
  );
  const text = readFileSync(file, 'utf8').replaceAll(/user="[^"]+"/g, `user="${userInfo().username}"`);
  return text.slice(text.indexOf('<policy'), text.lastIndexOf('</busconfig>'));
}

/** For tests: Debian's dbus-daemon as a system bus of its own, with the policy of the image. */
export class PrivateBus implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;
  readonly #folder: TemporaryFolder;

  private constructor(address: string, child: ChildProcess, folder: TemporaryFolder) {
    this.address = address;
    this.#child = child;
    this.#folder = folder;
  }

  /** `more`: policies beside those, as XML. */
  static async start(more = ''): Promise<PrivateBus> {
    const folder = new TemporaryFolder();
    chmodSync(folder.path, 0o755);
    const address = `unix:path=${folder.path}/bus`;
    // What Debian's system.conf allows everybody: calls and signals, but no names.
    writeFileSync(
      join(folder.path, 'bus.conf'),
      `<busconfig><type>system</type><listen>${address}</listen><auth>EXTERNAL</auth>
       <policy context="default"><allow user="*"/><deny own="*"/><deny send_type="method_call"/>
       <allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
       <allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
       <allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
       <allow send_destination="org.freedesktop.DBus"/></policy>${policy()}${more}</busconfig>`,
    );
    const args = [`--config-file=${folder.path}/bus.conf`, '--nofork', '--nopidfile', '--print-address'];
    const child = spawn('dbus-daemon', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('error', reject);
      child.once('exit', (status) => reject(new Error(`dbus-daemon ended with ${status}`)));
    });
    return new PrivateBus(address, child, folder);
  }

  /** Ends the bus, as a crash does. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#folder[Symbol.dispose]();
  }
}

// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { firmwareUpdateModel, Lwm2mError, mblUpdateModel, objectInstance } from '@mbl/lwm2m';
import { MblError } from '@mbl/trust';
import { PackageIntake } from '../update/package-intake.ts';
import { updateResults, type UpdateStatus, updateStates } from '../update/status.ts';
import { Updater } from '../update/updater.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** Appendix E.6, resource 8: HTTP and HTTPS, from which the device pulls. */
const protocols = new Map([
  [0, 2],
  [1, 3],
]);
/** Resource 9. */
const pullAndPush = 2;
/** Seconds: a week. */
const mostDeferral = 604_800;

/** The update of the operating system (LwM2M Core 1.1 Appendix E.6): the Package URI names a release in its repository, or the Package is one. */
export function firmwareUpdateObject({
  platform,
  repository,
  updates,
  orders,
  deferrals,
  packages,
  stopped,
  log,
  now,
}: ObjectOptions): DeviceObject {
  const updater: Updater = new Updater({
    platform,
    repository,
    memory: updates,
    deferrals,
    log,
    now,
    changed: () => changed(),
  });
  orders.serve(updater);
  // Else what is on its way, or is tried again, would go on, and keep the process.
  stopped.addEventListener('abort', () => void updater[Symbol.asyncDispose](), { once: true });
  const intake = new PackageIntake({ folder: packages, updater, memory: updates, log });
  void intake.tidy();
  /** No value before the platform has said how the last update went. */
  const show =
    <T>(part: (status: UpdateStatus) => T) =>
    async (): Promise<T | undefined> => {
      const status = await updater.known();
      return status && part(status);
    };
  const instance = objectInstance(firmwareUpdateModel, 0, {
    package: {
      async write(value) {
        // E.6: an empty one, or one zero byte, resets.
        if (value.length > 1 || (value[0] ?? 0) !== 0) await intake.take(value);
        else await begin('');
      },
      stream: (size) => intake.open(size),
    },
    packageUri: { read: () => updater.status.uri, write: begin },
    update: {
      execute: async () => {
        // E.6: in any state but Downloaded it is refused.
        if (updater.status.state !== 'downloaded')
          throw new Lwm2mError('device/not-downloaded', 'no release is there to be started', {
            status: Code.METHOD_NOT_ALLOWED,
          });
        // How it goes is what the state says: reading the slot once more takes longer than a server waits for an answer.
        void updater.install().catch((error: unknown) => {
          log.error('update not started', { reason: error instanceof Error ? error.message : String(error) });
        });
        await Promise.resolve();
      },
    },
    state: { read: show((status) => updateStates[status.state]) },
    updateResult: { read: show((status) => updateResults[status.result]) },
    pkgVersion: { read: show(({ release }) => release) },
    firmwareUpdateProtocolSupport: protocols,
    firmwareUpdateDeliveryMethod: pullAndPush,
  });

  const about = objectInstance(mblUpdateModel, 0, {
    release: { read: show(({ release }) => release) },
    detail: { read: show(({ detail }) => detail) },
    reason: { read: show(({ reason }) => reason) },
    bytesFetched: { read: show(({ fetched }) => fetched) },
    bytesToFetch: { read: show(({ toFetch }) => toFetch) },
    budget: {
      read: () => updates.budget,
      async write(value) {
        const budget = Number(value);
        if (!Number.isSafeInteger(budget) || budget < 0)
          throw new Lwm2mError('device/bad-budget', 'a budget is a whole number of bytes; 0: no limit', {
            status: Code.BAD_REQUEST,
          });
        await updates.keep({ budget });
        log.info('update budget set', { by: 'service', bytes: budget });
      },
    },
    longestDeferral: {
      read: () => updates.longestDeferral,
      async write(value) {
        const longestDeferral = Number(value);
        if (!Number.isSafeInteger(longestDeferral) || longestDeferral < 0 || longestDeferral > mostDeferral)
          throw new Lwm2mError(
            'device/bad-deferral',
            `apps may defer a restart by 0 to ${mostDeferral} seconds`,
            { status: Code.BAD_REQUEST },
          );
        await updates.keep({ longestDeferral });
        log.info('longest deferral set', { by: 'service', seconds: longestDeferral });
      },
    },
  });

  async function begin(uri: string): Promise<void> {
    try {
      await updater.begin(uri);
    } catch (cause) {
      if (!(cause instanceof MblError)) throw cause;
      const status = cause.code === 'device/long-uri' ? Code.BAD_REQUEST : Code.METHOD_NOT_ALLOWED;
      throw new Lwm2mError('device/updating', cause.message, { status, cause });
    }
  }

  function changed(): void {
    orders.changed(updater.status);
    for (const name of ['state', 'updateResult', 'pkgVersion', 'packageUri'] as const) instance.changed(name);
    for (const name of ['release', 'detail', 'reason', 'bytesFetched', 'bytesToFetch'] as const)
      about.changed(name);
  }

  return {
    instances: [instance, about],
    refresh: async () => {
      await updater.look();
    },
  };
}

// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { type AppAsk, formatDesiredApps, parseAppAnswer, parseAppAsk, parseDesiredApps } from '@mbl/formats';
import { Lwm2mError, mblAppsModel, objectInstance } from '@mbl/lwm2m';
import { MblError } from '@mbl/trust';
import { sleep } from '../../common/wait.ts';
import { Cached, instancesOf } from './cached.ts';
import type { DeviceObject, ObjectOptions } from './object.ts';

/** Milliseconds between looks for an answer, and how much longer than the command itself one may take. */
const lookMs = 1000;
const answerMs = 120_000;

/** The apps of the device: what it is to have, and how they do. */
export function appsObject({ apps, platform, log, now, stopped }: ObjectOptions): DeviceObject {
  const answers = new Cached(() => platform.getAppAnswers(), { now, log });
  /** No value before the platform has said how the apps do. */
  const show = (documents: () => readonly object[]) => ({
    read: async () =>
      (await apps.hear()) ? instancesOf(documents().map((one) => JSON.stringify(one))) : undefined,
  });
  const instance = objectInstance(mblAppsModel, 0, {
    desired: {
      read: () => formatDesiredApps(apps.desired),
      async write(value) {
        const desired = read(() => parseDesiredApps(value));
        await apps.desire(desired).catch((cause: unknown) => {
          throw new Lwm2mError('device/apps-not-kept', 'which apps there are to be could not be kept', {
            status: Code.INTERNAL_SERVER_ERROR,
            cause,
          });
        });
        const releases = desired.releases.map(({ team, release }) => `${team}=${release}`).join(',');
        log.info('apps ordered', { by: 'service', releases });
      },
    },
    releases: show(() => apps.releases),
    apps: show(() => apps.apps),
    ask: {
      async write(value) {
        const ask = read(() => parseAppAsk(value));
        log.info('app asked', { by: 'service', id: ask.id, action: ask.action, name: ask.name });
        await platform.askApp({ ask: value });
        void follow(ask);
      },
    },
    answers: answers.show((found) => instancesOf(found)),
  });
  apps.changed = () => {
    instance.changed('releases');
    instance.changed('apps');
  };

  /** Reports the answer when it is there. */
  async function follow({ id, timeout = 0 }: AppAsk): Promise<void> {
    const end = performance.now() + timeout * 1000 + answerMs;
    while (performance.now() < end && !stopped.aborted) {
      await sleep(lookMs, stopped);
      const found = await platform.getAppAnswers().catch(() => []);
      if (!found.some((one) => isAnswerTo(id, one))) continue;
      answers.forget();
      instance.changed('answers');
      // What was done may have changed how apps do.
      apps.look();
      return;
    }
  }

  return {
    instances: [instance],
    refresh: () => {
      apps.look();
      return Promise.resolve();
    },
  };
}

function isAnswerTo(id: string, text: string): boolean {
  try {
    return parseAppAnswer(text).id === id;
  } catch {
    return false;
  }
}

/** What the service wrote, or a refusal of it. */
function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof MblError)) throw cause;
    throw new Lwm2mError('device/bad-apps', cause.message, { status: Code.BAD_REQUEST, cause });
  }
}

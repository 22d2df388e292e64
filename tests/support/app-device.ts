// SPDX-License-Identifier: Apache-2.0
import {
  type AppAnswer,
  type AppAsk,
  type AppStatus,
  type DesiredApps,
  parseAppAsk,
  parseDesiredApps,
  type ServiceFile,
} from '@mbl/formats';
import { deviceModel, Lwm2mClient, mblAppsModel, objectInstance, serverObject } from '@mbl/lwm2m';
import { connectOnly } from './host-device.ts';

/** What such a device does with what it is told: all of it, at once. */
export interface AppDevice extends AsyncDisposable {
  readonly desired: DesiredApps['releases'];
  readonly asks: readonly AppAsk[];
  /** A release of this name does not prove good. */
  bad: string;
  /** One of this name needs an operating system that is not there. */
  early: string;
}

/** An enrolled device without a board that takes apps, and runs none: it says at once what came of them. `answer`: to what it is asked. */
export async function appDevice(
  name: string,
  identity: string,
  service: ServiceFile,
  apps: Readonly<Record<string, string>>,
  answer: (ask: AppAsk) => Omit<AppAnswer, 'id'>,
): Promise<AppDevice> {
  let desired: DesiredApps['releases'] = [];
  const asks: AppAsk[] = [];
  let answers: string[] = [];
  const device = { bad: '', early: '' };
  const numbered = (texts: readonly object[]) =>
    new Map(texts.map((text, i) => [i, typeof text === 'string' ? text : JSON.stringify(text)]));
  const statusOf = ({ team, release }: DesiredApps['releases'][number]) => {
    const good = release !== device.bad;
    if (release === device.early)
      return {
        ...{ team, release, running: '', state: 'waits', reason: 'app/needs-os', fetched: 0, toFetch: 0 },
        detail: 'sensor needs version 2.0 of the operating system, and 1.0 runs',
      };
    return {
      ...{ team, release, running: good ? release : '', fetched: 0, toFetch: 0 },
      ...(good
        ? { state: 'running', reason: '', detail: '' }
        : { state: 'fell-back', reason: 'app/unhealthy', detail: 'the check of sensor ended with 3' }),
    };
  };
  const idle = (release: string) => release === device.bad || release === device.early;
  const runs = (team: string) => desired.find((one) => one.team === team && !idle(one.release));
  const appsOf = (): AppStatus[] =>
    Object.entries(apps).flatMap(([app, team]) => {
      const release = runs(team)?.release;
      if (release === undefined) return [];
      return [
        {
          ...{ name: app, team, release, version: '1.0', state: 'running', since: Date.now() - 60_000 },
          ...{ restarts: 2, memory: 4 << 20, reason: '', detail: '' },
        } as const,
      ];
    });
  const instance = objectInstance(mblAppsModel, 0, {
    desired: {
      read: () => JSON.stringify({ version: 1, releases: desired }),
      write: (text) => {
        desired = parseDesiredApps(text).releases;
        instance.changed('releases');
        instance.changed('apps');
      },
    },
    releases: { read: () => numbered(desired.map(statusOf)) },
    apps: { read: () => numbered(appsOf()) },
    ask: {
      write: (text) => {
        const ask = parseAppAsk(text);
        asks.push(ask);
        answers = [...answers, JSON.stringify({ id: ask.id, ...answer(ask) })].slice(-8);
        instance.changed('answers');
      },
    },
    answers: { read: () => new Map(answers.map((text, i) => [i, text])) },
  });
  const client = new Lwm2mClient({
    endpointName: name,
    objects: [
      serverObject({ lifetime: 300 }),
      objectInstance(deviceModel, 0, {
        reboot: { execute: () => undefined },
        errorCode: new Map([[0, 0]]),
        supportedBindingAndModes: 'T',
      }),
      instance,
    ],
  });
  const peer = await connectOnly(identity, service, client.handler);
  await client.attach(peer);
  return {
    get desired() {
      return desired;
    },
    asks,
    get bad() {
      return device.bad;
    },
    set bad(release) {
      device.bad = release;
    },
    get early() {
      return device.early;
    },
    set early(release) {
      device.early = release;
    },
    async [Symbol.asyncDispose]() {
      peer.close();
      await client[Symbol.asyncDispose]();
    },
  };
}

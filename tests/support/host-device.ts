// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { type CoapPeer, connectStream, type RequestHandler } from '@mbl/coap';
import { runCloudClient } from '@mbl/device';
import { factoryFor, type ServiceFile } from '@mbl/formats';

/** The device's own client on this machine, without a board: it enrols and registers as one on a board does. */
export interface HostDevice extends AsyncDisposable {
  /** Runs it while `meanwhile` does, from a log without a line. */
  run(meanwhile: () => Promise<void>): Promise<void>;
  /** Whether it has logged such a line. */
  says(line: RegExp): boolean;
  /** What a lost configuration partition takes along. */
  loseIdentity(): Promise<void>;
}

const image = {
  version: 1,
  machine: 'host',
  image: 'development',
  buildId: '0123456789abcdef',
  keys: 'development',
  components: {
    'boot-firmware': { version: '1', sha256: '00' },
    kernel: { version: '1', sha256: '00' },
    root: { version: '1' },
  },
};

export async function hostDevice(
  folder: string,
  service: ServiceFile,
  endpointName: string,
  enrolmentCode: string,
): Promise<HostDevice> {
  const identity = join(folder, 'identity');
  await mkdir(identity, { recursive: true });
  const trust = await readFile(service.trust, 'utf8');
  const factory = factoryFor(service, { endpointName, enrolmentCode, host: '127.0.0.1', trust });
  await writeFile(join(folder, 'factory.json'), JSON.stringify(factory));
  await writeFile(join(folder, 'image.json'), JSON.stringify(image));
  const args = ['--factory', folder, '--image', join(folder, 'image.json'), '--identity', identity];
  let lines: string[] = [];
  const note = (phrase: string, fields: object = {}) => {
    lines.push(`${phrase} ${JSON.stringify(fields)}`);
  };
  const log = { info: note, warning: note, error: note };
  return {
    async run(meanwhile) {
      lines = [];
      const stop = new AbortController();
      const ended = runCloudClient([...args, '--bus', 'unix:path=/nowhere'], log, stop.signal);
      try {
        await meanwhile();
      } finally {
        stop.abort();
        await ended;
      }
    },
    says: (line) => lines.some((one) => line.test(one)),
    async loseIdentity() {
      await rm(identity, { recursive: true });
      await mkdir(identity);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Connects with the identity in a folder, and says no more than that it speaks CoAP (RFC 8323): no registration. `handler` answers the service. */
export async function connectOnly(
  identity: string,
  service: ServiceFile,
  handler?: RequestHandler,
): Promise<CoapPeer> {
  const socket = connect({
    host: '127.0.0.1',
    port: service.ports.lwm2m,
    servername: 'service.mbl.internal',
    ca: await readFile(service.trust, 'utf8'),
    key: await readFile(join(identity, 'key.pem')),
    cert: await readFile(join(identity, 'certificate.pem')),
    ALPNProtocols: ['coap'],
  });
  await once(socket, 'secureConnect');
  return connectStream(socket, handler === undefined ? {} : { handler });
}

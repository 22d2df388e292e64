// SPDX-License-Identifier: Apache-2.0
import { MblError, parseCertificate } from '@mbl/trust';
import { readBounded } from '../common/files.ts';
import { readJson } from '../common/json.ts';

/** What the factory wrote into the device (ARCHITECTURE.md, Factory configuration). */
export interface FactoryConfiguration {
  readonly endpointName: string;
  readonly serialNumber: string;
  readonly enrolmentCode: string;
  /** Base of the EST service: its scheme, host and port. */
  readonly est: URL;
  readonly lwm2m: { readonly host: string; readonly port: number; readonly uri: string };
  /** The name that both services' certificates must bear, whatever address was dialled. */
  readonly serverName: string;
  /** PEM of the certificates that may sign the services' certificates. */
  readonly trust: string;
}

export const maxFactoryBytes = 64 * 1024;

/** Throws `device/no-factory` or `device/bad-factory`. */
export async function loadFactory(path: string): Promise<FactoryConfiguration> {
  const text = await readBounded(path, maxFactoryBytes);
  if (text !== undefined) return parseFactory(text, path);
  throw new MblError('device/no-factory', `there is no factory configuration at ${path}`, {
    remedy: 'Write the factory partition when the device is made.',
  });
}

/** `path` is for messages. Throws `device/bad-factory`. */
export function parseFactory(text: string, path: string): FactoryConfiguration {
  const json = readJson(text, path, 'device/bad-factory');
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const service = json.object('service');
  const trust = json.string('trust', /^-----BEGIN CERTIFICATE-----[\s\S]*$/, maxFactoryBytes);
  for (const pem of trust.split(/(?<=-----END CERTIFICATE-----)/).filter((part) => part.trim() !== '')) {
    try {
      parseCertificate(pem);
    } catch (cause) {
      throw json.fail('"trust" must be certificates in PEM', cause);
    }
  }
  const lwm2m = parseUrl(service.string('lwm2m'), 'coaps+tcp:', service.fail);
  return {
    endpointName: json.string('endpointName', /^[A-Za-z0-9._:-]{1,64}$/),
    serialNumber: json.string('serialNumber', /^[\x20-\x7e]{1,64}$/),
    // A colon would end the name in HTTP Basic credentials (RFC 7617 §2).
    enrolmentCode: json.string('enrolmentCode', /^[\x21-\x39\x3b-\x7e]{1,256}$/),
    est: parseUrl(service.string('est'), 'https:', service.fail),
    lwm2m: {
      host: bareHost(lwm2m),
      port: lwm2m.port === '' ? 5684 : Number(lwm2m.port),
      uri: `coaps+tcp://${lwm2m.host}`,
    },
    serverName: service.string('serverName', /^[A-Za-z0-9._-]{1,253}$/),
    trust,
  };
}

function parseUrl(text: string, protocol: string, fail: (why: string, cause?: unknown) => MblError): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw fail(`"${text}" is not a URL`, cause);
  }
  const plain =
    url.username === '' &&
    url.password === '' &&
    ['', '/'].includes(url.pathname) &&
    url.search === '' &&
    url.hash === '';
  if (url.protocol === protocol && url.hostname !== '' && plain) return url;
  throw fail(`"${text}" must be of the form ${protocol}//host:port`);
}

/** The host as `connect` wants it: an IPv6 address without its brackets. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

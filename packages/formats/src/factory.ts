// SPDX-License-Identifier: Apache-2.0
import { parseCertificate } from '@mbl/trust';
import { endpointNameRule, isEndpointName, serviceName } from './names.ts';
import { type JsonRecord, readRecord } from './record.ts';
import type { ServiceFile } from './service-file.ts';

/** `factory.json`: what the factory writes into a device (ARCHITECTURE.md, Factory configuration). */
export interface FactoryConfiguration {
  readonly version: 1;
  readonly endpointName: string;
  readonly serialNumber: string;
  /** A secret that works once. */
  readonly enrolmentCode: string;
  readonly service: {
    /** Scheme, host and port of EST: `https://host:port`. */
    readonly est: string;
    /** Scheme, host and port of LwM2M: `coaps+tcp://host:port`. */
    readonly lwm2m: string;
    /** The name that both services' certificates must bear, whatever address was dialled. */
    readonly serverName: string;
  };
  /** PEM of the certificates that may sign the services' certificates. */
  readonly trust: string;
}

export const maxFactoryBytes = 64 * 1024;

/** Reads `factory.json`. `path` is for messages. Throws `formats/bad-factory`. */
export function parseFactory(text: string, path: string): FactoryConfiguration {
  const json = readRecord(text, {
    path,
    code: 'formats/bad-factory',
    remedy: 'Write the factory partition again.',
    most: maxFactoryBytes,
  });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  const service = json.object('service');
  const endpointName = json.string('endpointName');
  if (!isEndpointName(endpointName)) throw json.fail(`"endpointName" must be ${endpointNameRule}`);
  return {
    version: 1,
    endpointName,
    serialNumber: json.string('serialNumber', /^[\x20-\x7e]{1,64}$/),
    // A colon would end the name in HTTP Basic credentials (RFC 7617 §2).
    enrolmentCode: json.string('enrolmentCode', /^[\x21-\x39\x3b-\x7e]{1,256}$/),
    service: {
      est: address(service, 'est', 'https:'),
      lwm2m: address(service, 'lwm2m', 'coaps+tcp:'),
      serverName: service.string('serverName', /^[A-Za-z0-9._-]{1,253}$/),
    },
    trust: certificates(json),
  };
}

/** The text of `factory.json`. */
export function formatFactory(factory: FactoryConfiguration): string {
  return `${JSON.stringify(factory, undefined, 2)}\n`;
}

/** The factory configuration of a device that finds this service at `host`; its serial number is its name. */
export function factoryFor(
  service: Pick<ServiceFile, 'ports'>,
  given: {
    readonly endpointName: string;
    readonly enrolmentCode: string;
    readonly host: string;
    readonly trust: string;
  },
): FactoryConfiguration {
  const { endpointName, enrolmentCode, host, trust } = given;
  return {
    version: 1,
    endpointName,
    serialNumber: endpointName,
    enrolmentCode,
    service: {
      est: `https://${host}:${service.ports.est}`,
      lwm2m: `coaps+tcp://${host}:${service.ports.lwm2m}`,
      serverName: serviceName,
    },
    trust,
  };
}

/** A URL of nothing but scheme, host and port, as such. */
function address(json: JsonRecord, member: string, protocol: string): string {
  const text = json.string(member);
  const url = URL.parse(text);
  const plain =
    url?.username === '' &&
    url.password === '' &&
    ['', '/'].includes(url.pathname) &&
    url.search === '' &&
    url.hash === '';
  if (url?.protocol === protocol && url.hostname !== '' && plain) return `${protocol}//${url.host}`;
  throw json.fail(`"service.${member}" must be of the form ${protocol}//host:port`);
}

function certificates(json: JsonRecord): string {
  const text = json.string('trust', /^-----BEGIN CERTIFICATE-----[\s\S]*$/, maxFactoryBytes);
  for (const pem of text.split(/(?<=-----END CERTIFICATE-----)/).filter((part) => part.trim() !== '')) {
    try {
      parseCertificate(pem);
    } catch (cause) {
      throw json.fail('"trust" must be certificates in PEM', cause);
    }
  }
  return text;
}

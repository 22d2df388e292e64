// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey } from 'node:crypto';
import { fstatSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type CertificateAuthority, MblError, memorySigner, parseCertificate } from '@mbl/trust';
import { boundedOutput } from './infra/bounded-output.ts';
import { jsonLog } from './infra/log.ts';
import { type Service, type ServiceOptions, startService } from './service.ts';

const usage = `Usage: main.ts --directory DIR [options]
  --directory DIR                 state: CA, database, service.json
  --http-port N                   REST, on 127.0.0.1 (default: any free port)
  --est-port N                    enrolment, HTTPS (default: any free port)
  --lwm2m-port N                  LwM2M over CoAP/TLS/TCP (default: any free port)
  --host ADDRESS                  address for EST and LwM2M (default: 127.0.0.1)
  --name NAME                     further name or address for the TLS certificate (may be repeated)
  --database-url URL              a PostgreSQL database instead of the private cluster (or DATABASE_URL)
  --device-ca CERTIFICATE         CA for device certificates, PEM file; with --device-ca-key
  --device-ca-key KEY             its private key, PEM file
  --releases FOLDER               the repository of releases that devices get (default: DIR/releases)
  --help
`;

/** Bytes. Where stdout is a file opened to append, it begins anew then; `<name>.previous.log` has what was in it. */
const largestLog = 16 << 20;

/** The service as a daemon: JSON lines on stdout, a clean stop on SIGTERM and SIGINT, exit code 1 for an error. */
async function main(args: readonly string[]): Promise<void> {
  const log = jsonLog(
    fstatSync(1).isFile() ? boundedOutput(1, largestLog) : (line) => process.stdout.write(line),
  );
  const options = await readOptions(args);
  if (options === undefined) {
    process.stdout.write(usage);
    return;
  }
  const stop = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => stop.resolve(signal));
  const starting = startService({ ...options, log });
  const early = await Promise.race([starting, stop.promise]);
  // A signal during the start: whatever comes up is taken down again.
  const service: Service = typeof early === 'string' ? await starting : early;
  const end = await Promise.race([stop.promise, service.failed]);
  if (typeof end === 'string') log.info('Stopping', { signal: end });
  else log.error('Stopping', { error: end });
  await service[Symbol.asyncDispose]();
  log.info('Stopped');
  if (typeof end !== 'string') throw end;
}

async function readOptions(args: readonly string[]): Promise<ServiceOptions | undefined> {
  const { values } = parse(args);
  if (values.help === true) return undefined;
  if (values.directory === undefined) throw usageError('--directory is missing');
  const databaseUrl = values['database-url'] ?? process.env['DATABASE_URL'];
  const deviceCa = await readAuthority(values['device-ca'], values['device-ca-key']);
  return {
    directory: values.directory,
    hosts: values.name ?? [],
    listen: {
      ...(values.host === undefined ? {} : { host: values.host }),
      httpPort: port('http-port', values['http-port']),
      estPort: port('est-port', values['est-port']),
      lwm2mPort: port('lwm2m-port', values['lwm2m-port']),
    },
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
    ...(deviceCa === undefined ? {} : { deviceCa }),
    ...(values.releases === undefined ? {} : { releases: values.releases }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        directory: { type: 'string' },
        'http-port': { type: 'string' },
        'est-port': { type: 'string' },
        'lwm2m-port': { type: 'string' },
        host: { type: 'string' },
        name: { type: 'string', multiple: true },
        'database-url': { type: 'string' },
        'device-ca': { type: 'string' },
        'device-ca-key': { type: 'string' },
        releases: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

function port(name: string, value = '0'): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number > 65_535) throw usageError(`--${name} is not a port: ${value}`);
  return number;
}

async function readAuthority(certificate?: string, key?: string): Promise<CertificateAuthority | undefined> {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined)
    throw usageError('--device-ca and --device-ca-key go together');
  try {
    return {
      certificate: parseCertificate(await readFile(certificate)),
      signer: memorySigner(createPrivateKey(await readFile(key))),
    };
  } catch (cause) {
    throw new MblError(
      'service/device-ca-unreadable',
      `The device CA cannot be read: ${(cause as Error).message}`,
      {
        remedy: `Check ${certificate} and ${key}, both PEM`,
        cause,
      },
    );
  }
}

function usageError(message: string): MblError {
  return new MblError('service/usage', message, { remedy: 'See --help' });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const { message, remedy, stack } = error as MblError;
  process.stderr.write(error instanceof MblError ? `${message}\n${remedy ?? ''}\n` : `${stack}\n`);
  process.exitCode = 1;
}

// SPDX-License-Identifier: Apache-2.0
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { KeepAliveOptions } from '@mbl/coap';
import type { ServiceFile } from '@mbl/formats';
import { type CertificateAuthority, MblError } from '@mbl/trust';
import { ApiKeys, ensureAccount } from './features/api-keys/keys.ts';
import { ensureAuthority, ensureServiceIdentity } from './features/certificates/authorities.ts';
import { defaultCertificateLife } from './features/certificates/register.ts';
import { type LookTiming, usualTiming } from './features/requests/looks.ts';
import { compose } from './compose.ts';
import type { Context } from './context.ts';
import { claimDatabase, type DatabaseClaim } from './infra/claim.ts';
import { type Database, openDatabase } from './infra/database.ts';
import { readIfThere, writeAtomic } from './infra/files.ts';
import { idSource } from './infra/ids.ts';
import { authority, listen } from './infra/listen.ts';
import { type Log, silentLog } from './infra/log.ts';
import { migrate, readMigrations } from './infra/migrations.ts';
import { PrivateCluster } from './infra/postgres/cluster.ts';
import type { Schema } from './schema.ts';
import { removeServiceFile, writeServiceFile } from './service-file.ts';

/** Ports: 0 or absent is any free one. */
export interface ListenOptions {
  /** Address for the device-facing listeners; 127.0.0.1 when absent. */
  readonly host?: string;
  readonly estPort?: number;
  readonly lwm2mPort?: number;
  /** REST listens on 127.0.0.1 only: an API key must not cross a network in the clear. Put a TLS proxy before it. */
  readonly httpPort?: number;
}

export interface ServiceOptions {
  /** Holds the CA, the private PostgreSQL cluster, `service.json`. Made when missing. */
  readonly directory: string;
  readonly listen?: ListenOptions;
  /** Another database than the private cluster: a `postgres://` URL. */
  readonly databaseUrl?: string;
  /** Signs device certificates; when absent, one is made and kept in the directory. */
  readonly deviceCa?: CertificateAuthority;
  /** How long device certificates hold, in seconds. Default: ten years. */
  readonly certificateLife?: number;
  /** Host names and addresses, beside service.mbl.internal, for the service's TLS certificate. */
  readonly hosts?: readonly string[];
  /**
   * When a silent device is asked whether it is there, and how long it has to answer, then and when a second connection shows
   * its identity. Default: 10 s, 5 s.
   */
  readonly keepAlive?: KeepAliveOptions;
  /** Folder of a repository of releases, as `mbl release sign` leaves it. Default: `releases` in the directory. */
  readonly releases?: string;
  /** How often a device with an order is looked at. Default: after one to fifteen seconds. */
  readonly orderTiming?: LookTiming;
  /** Unix time in milliseconds. */
  readonly now?: () => number;
  readonly log?: Log;
}

export interface Service extends AsyncDisposable {
  readonly file: ServiceFile;
  /** Resolves when the service can go on no longer, because its database went away: dispose it and start another. */
  readonly failed: Promise<MblError>;
}

const httpHost = '127.0.0.1';
const defaultKeepAlive: KeepAliveOptions = { intervalMs: 10_000, timeoutMs: 5000 };

/**
 * Starts the service and resolves when it accepts devices and requests. Disposing it ends connections, writes presence down,
 * stops the private cluster and removes `service.json`. Throws `MblError`; then nothing is left running.
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  await using starting = new AsyncDisposableStack();
  const directory = resolve(options.directory);
  const log = options.log ?? silentLog;
  const now = options.now ?? Date.now;
  const newId = idSource(now);
  await mkdir(directory, { recursive: true });

  const { database, claim } = await openOwnDatabase(options, directory, log, starting);
  const { db } = database;
  const applied = await migrate(database.pool, await readMigrations(join(import.meta.dirname, 'features')));
  if (applied.length > 0) log.info('Migrated the database', { applied });

  const accountId = await ensureAccount(db, newId, now);
  const awaySince = () => claim.awaySince;
  const context: Context = { db, accountId, now, newId, log, awaySince };
  const keys = new ApiKeys(context);
  const apiKey = await bootstrapKey(keys, directory);
  const caDirectory = join(directory, 'ca');
  const serviceCa = await ensureAuthority(caDirectory, 'service-ca', 'MBL service CA');
  const deviceCa = options.deviceCa ?? (await ensureAuthority(caDirectory, 'device-ca', 'MBL device CA'));
  const host = options.listen?.host ?? '127.0.0.1';
  const identity = await ensureServiceIdentity(
    caDirectory,
    serviceCa,
    [host, ...(options.hosts ?? [])].filter(isCertifiable),
  );

  const { keepAlive = defaultKeepAlive, certificateLife = defaultCertificateLife } = options;
  const { orderTiming = usualTiming } = options;
  const releases = resolve(options.releases ?? join(directory, 'releases'));
  const { app, est, edge } = await compose(
    context,
    { keys, serviceCa, deviceCa, identity, keepAlive, certificateLife, releases, orderTiming },
    starting,
  );

  await edge.start();
  const ports = {
    http: await listen(app.server, 'HTTP', httpHost, options.listen?.httpPort ?? 0),
    est: await listen(est, 'EST', host, options.listen?.estPort ?? 0),
    lwm2m: await listen(edge.server, 'LwM2M', host, options.listen?.lwm2mPort ?? 0),
  };
  const file: ServiceFile = {
    version: 1,
    pid: process.pid,
    startedAt: new Date(now()).toISOString(),
    http: `http://${authority(httpHost, ports.http)}`,
    est: `https://${authority(local(host), ports.est)}`,
    lwm2m: `coaps+tcp://${authority(local(host), ports.lwm2m)}`,
    ports,
    apiKey,
    trust: join(caDirectory, 'service-ca.pem'),
  };
  await writeServiceFile(directory, file);
  starting.defer(() => removeServiceFile(directory));
  log.info('Ready', { http: file.http, est: file.est, lwm2m: file.lwm2m });
  const running = starting.move();
  const failed = claim.lost.then(
    (cause) =>
      new MblError('service/database-lost', `The database went away: ${cause.message}`, {
        remedy: 'Start the service again; what was committed is kept',
        cause,
      }),
  );
  return { file, failed, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Opens the database that is given, or the private cluster's, and claims it. */
async function openOwnDatabase(
  { databaseUrl }: ServiceOptions,
  directory: string,
  log: Log,
  starting: AsyncDisposableStack,
): Promise<{ database: Database<Schema>; claim: DatabaseClaim }> {
  const cluster = new PrivateCluster({ directory: join(directory, 'postgres') });
  if (databaseUrl === undefined) starting.use(cluster);
  const target = databaseUrl ?? (await cluster.start());
  const database = starting.use(openDatabase<Schema>(target));
  const revive =
    typeof target === 'string'
      ? undefined
      : async (signal: AbortSignal) => await restartCluster(cluster, target.host, signal);
  const onAway = () => database.dropConnections();
  try {
    return { database, claim: starting.use(await claimDatabase(database.pool, { log, revive, onAway })) };
  } catch (error) {
    // The cluster is that of the service which runs already: not ours to stop.
    if (error instanceof MblError && error.code === 'service/already-running') cluster.leaveRunning();
    throw error;
  }
}

/** Starts our own cluster again where it died. Its place is the one that the pool knows, or the service must start anew. */
async function restartCluster(cluster: PrivateCluster, host: string, signal: AbortSignal): Promise<void> {
  const { host: now } = await cluster.start(signal);
  if (now !== host) throw new Error(`the cluster has moved from ${host} to ${now}`);
}

/** The key that comes with the service: kept beside it, so that a restart does not end what was configured with it. */
async function bootstrapKey(keys: ApiKeys, directory: string): Promise<string> {
  const path = join(directory, 'api-key');
  const known = (await readIfThere(path))?.trim();
  const key = await keys.bootstrap('bootstrap', known);
  if (key !== known) await writeAtomic(path, `${key}\n`, 0o600);
  return key;
}

/** The unspecified address stands for all, and is nobody's name. */
function isCertifiable(host: string): boolean {
  return host !== '0.0.0.0' && host !== '::';
}

function local(host: string): string {
  return isCertifiable(host) ? host : '127.0.0.1';
}

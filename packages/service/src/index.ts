// SPDX-License-Identifier: Apache-2.0
export { jsonLog, type Log, silentLog } from './infra/log.ts';
export { type ListenOptions, type Service, type ServiceOptions, startService } from './service.ts';
export type { CallOptions, ListOptions } from './client/caller.ts';
export {
  ServiceClient,
  type ServiceClientOptions,
  type WatchOptions,
} from './client/service-client.ts';
export type * from './client/types.ts';
export { eventMeanings, eventTypes } from './features/device-events/model.ts';
export type { Watch } from './client/watch.ts';

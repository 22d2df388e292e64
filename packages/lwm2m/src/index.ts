// SPDX-License-Identifier: Apache-2.0
export type { Client, InstanceFactory, ClientOptions, ClientState } from './client/options.ts';
export type { ObjectInstance } from './client/instance.ts';
export type { ReportingInstance, Resource, ResourceHandlers } from './client/object-instance.ts';
export { objectInstance } from './client/object-instance.ts';
export type { ServerObjectOptions } from './client/server-object.ts';
export { serverObject } from './client/server-object.ts';
export type { Clock, Timer } from './clock.ts';
export type { Link } from './codecs/link-format.ts';
export type { Lwm2mErrorOptions } from './errors.ts';
export { Lwm2mError } from './errors.ts';
export type { ExecuteArguments } from './execute-arguments.ts';
export type { ObjectDefinition, Operations, ResourceDefinition } from './model/definition.ts';
export { ObjectModel, standardModel } from './model/model.ts';
export type { Node } from './node.ts';
export type { Path, PathLike } from './path.ts';
export { formatPath, isWithin, parsePath } from './path.ts';
export type {
  Management,
  NotificationAttributes,
  Observation,
  RawRequest,
  ReadOptions,
  WriteOptions,
} from './server/management.ts';
export type {
  DeregistrationReason,
  RegisterRequest,
  RegistrationChanges,
  Server,
  ServerOptions,
} from './server/options.ts';
export type { Registration } from './server/registration.ts';
export type { Lwm2mResponse } from './server/response.ts';
export type { Lwm2mValue, ObjectLink, ResourceType, ResourceValue } from './values.ts';

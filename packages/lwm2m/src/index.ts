// SPDX-License-Identifier: Apache-2.0
export { Lwm2mClient } from './client/client.ts';
export type { ObjectInstance, ValueSink } from './client/instance.ts';
export type { ReportingInstance } from './client/numbered-instance.ts';
export type { ResourcesOf } from './client/object-instance.ts';
export { objectInstance } from './client/object-instance.ts';
export type { ClientOptions, ClientState, InstanceFactory } from './client/options.ts';
export type { ServerObjectOptions } from './client/server-object.ts';
export { serverObject } from './client/server-object.ts';
export { decodeNodes, decodePaths, encodeNodes, encodePaths } from './codecs/codecs.ts';
export type { Link } from './codecs/link-format.ts';
export { decodeLinks, encodeLinks, linkPath } from './codecs/link-format.ts';
export { textToValue, valueToText } from './codecs/text.ts';
export type { Lwm2mErrorOptions } from './errors.ts';
export { Lwm2mError } from './errors.ts';
export type { ExecuteArguments } from './execute-arguments.ts';
export type {
  NamedObject,
  ObjectDefinition,
  Operations,
  ResourceDefinition,
  ResourceRow,
  ResourceRows,
} from './model/definition.ts';
export { defineObject } from './model/definition.ts';
export { ObjectModel, standardModel } from './model/model.ts';
export { securityModel } from './model/object-0-security.ts';
export { serverModel } from './model/object-1-server.ts';
export { softwareComponentModel } from './model/object-14-software-component.ts';
export { deviceModel } from './model/object-3-device.ts';
export { mblBoardModel } from './model/object-33400-mbl-board.ts';
export { mblUpdateModel } from './model/object-33401-mbl-update.ts';
export { mblAppsModel } from './model/object-33402-mbl-apps.ts';
export { connectivityMonitoringModel } from './model/object-4-connectivity-monitoring.ts';
export { firmwareUpdateModel } from './model/object-5-firmware-update.ts';
export type { Node } from './node.ts';
export type { Path, PathLike } from './path.ts';
export { formatPath, isWithin, parsePath } from './path.ts';
export { ObjectRegistry, omaRegistry } from './registry/registry.ts';
export type {
  NotificationAttributes,
  Observation,
  RawRequest,
  ReadOptions,
  WriteOptions,
} from './server/management.ts';
export { Management } from './server/management.ts';
export type {
  DeregistrationReason,
  RegisterRequest,
  RegistrationChanges,
  ServerOptions,
} from './server/options.ts';
export { Registration } from './server/registration.ts';
export { Lwm2mResponse } from './server/response.ts';
export { Lwm2mServer } from './server/server.ts';
export type { Lwm2mValue, ObjectLink, ResourceType, ResourceValue } from './values.ts';

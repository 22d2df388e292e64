// SPDX-License-Identifier: Apache-2.0
export {
  type AppCaller,
  type AppCallers,
  formatAppCallers,
  maxAppCallersBytes,
  parseAppCallers,
} from './app-callers.ts';
export {
  type AppAnswer,
  type AppAsk,
  type AppLogLine,
  appActions,
  type AppReleaseStatus,
  appReleaseStates,
  type AppStatus,
  appStates,
  type DesiredApps,
  type DesiredRelease,
  formatDesiredApps,
  maxAppAnswer,
  maxAppAsk,
  maxAppOrder,
  maxAppStatus,
  maxDesiredApps,
  mostDesiredReleases,
  mostLogLines,
  mostRunOutput,
  parseAppAnswer,
  parseAppAsk,
  parseAppReleaseStatus,
  parseAppStatus,
  parseDesiredApps,
} from './app-orders.ts';
export { type AppReason, appReasons, isAppReason } from './app-reasons.ts';
export {
  appNameRule,
  appPathRule,
  appPlainPathRule,
  appVersionRule,
  isAppDevice,
  isAppName,
  isAppPath,
  isAppPlainPath,
  isAppVariable,
  isAppVersion,
  isBusName,
  isResourcePath,
  portProblem,
  resourceProblem,
  volumeProblem,
} from './app-rules.ts';
export {
  type AppDescription,
  type AppHealth,
  type AppImage,
  appMountPoints,
  type AppPort,
  type AppResource,
  type AppVolume,
  formatApp,
  maxAppBytes,
  parseApp,
  resourceOperations,
  resourceTypes,
} from './app.ts';
export { type BillComponent, type BillSource, debianUrl, formatBill } from './bill/bill.ts';
export { parseControl, type Stanza } from './bill/control.ts';
export { readLicences } from './bill/licences.ts';
export {
  type BootState,
  bootStateOffsets,
  bootStateSize,
  chooseBootState,
  formatBootState,
  initialBootState,
  nextSequence,
  parseBootState,
  type Slot,
} from './boot-state.ts';
export {
  type FactoryConfiguration,
  factoryFor,
  formatFactory,
  maxFactoryBytes,
  parseFactory,
} from './factory.ts';
export {
  type ComponentName,
  componentNames,
  type Extent,
  formatImage,
  type ImageDescription,
  type ImageIdentity,
  maxImageBytes,
  type PlacedPartition,
  parseImage,
  parseImageIdentity,
  readImage,
  maxRollbackIndex,
} from './image.ts';
export {
  type FirmwareCounters,
  type FirmwareEntry,
  type FirmwareEvent,
  type FirmwareState,
  foldFirmwareLog,
  formatFirmwareCounters,
  formatFirmwareLog,
  maxFirmwareCounter,
  parseFirmwareCounters,
  parseFirmwareLog,
} from './firmware-state.ts';
export { endpointNamePattern, endpointNameRule, isEndpointName, serviceName } from './names.ts';
export { hasMoreValues } from './json-values.ts';
export { readText } from './read-text.ts';
export { displayPath } from './recipe/display-path.ts';
export {
  formatPosition,
  type Located,
  parseRecipe,
  type Position,
  type Recipe,
  recipeError,
  type RecipeNode,
} from './recipe/document.ts';
export { suggestion } from './recipe/nearest.ts';
export {
  byName,
  duration,
  integer,
  list,
  located,
  named,
  type NamedPart,
  names,
  type NamesPart,
  object,
  type ObjectPart,
  type ObjectWhole,
  oneOf,
  optional,
  type PartOf,
  path,
  paths,
  scalar,
  type Shape,
  size,
  table,
  text,
  type WholeOf,
} from './recipe/shape.ts';
export { formatSize, parseSize } from './recipe/size.ts';
export { JsonRecord, readRecord } from './record.ts';
export {
  appMachine,
  formatRelease,
  isReleaseName,
  isTeam,
  maxNotesLength,
  maxReleaseBytes,
  osTeam,
  parseRelease,
  type Release,
  type ReleaseApp,
  type ReleaseComponent,
  type ReleaseFile,
  type ReleaseImage,
  type ReleasePayload,
  type ReleaseVerity,
  releaseNameRule,
  teamRule,
} from './release.ts';
export {
  formatServiceFile,
  parseServiceFile,
  readServiceFile,
  type ServiceFile,
  serviceFilePath,
} from './service-file.ts';
export { isUpdateReason, type UpdateReason, updateReasons } from './update-reasons.ts';

// SPDX-License-Identifier: Apache-2.0
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
} from './image.ts';
export { endpointNamePattern, endpointNameRule, isEndpointName, serviceName } from './names.ts';
export { readText } from './read-text.ts';
export { JsonRecord, readRecord } from './record.ts';
export {
  formatRelease,
  isReleaseName,
  isTeam,
  maxNotesLength,
  maxReleaseBytes,
  maxRollbackIndex,
  osTeam,
  parseRelease,
  type Release,
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

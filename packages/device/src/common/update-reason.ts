// SPDX-License-Identifier: Apache-2.0
import { type AppReason, isAppReason, isUpdateReason, type UpdateReason } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** What errors mean for an update; of the others nothing is known but their sentence. */
const reasons: Readonly<Record<string, UpdateReason>> = {
  'device/bad-update-uri': 'update/bad-uri',
  'device/update-protocol': 'update/unsupported-protocol',
  'release/unknown-release': 'update/unknown-release',
  'release/missing': 'update/repository-incomplete',
  'device/metadata-endless': 'update/signature-invalid',
  'formats/bad-app': 'update/signature-invalid',
  'formats/bad-release': 'update/signature-invalid',
  'release/bad-metadata': 'update/signature-invalid',
  'release/mixed-up': 'update/signature-invalid',
  'release/too-large': 'update/signature-invalid',
  'release/too-many-roots': 'update/signature-invalid',
  'release/unsigned': 'update/signature-invalid',
  'release/wrong-content': 'update/signature-invalid',
  'release/expired': 'update/metadata-expired',
  'release/rolled-back': 'update/metadata-rolled-back',
  'release/wrong-keys': 'update/wrong-device',
  'release/wrong-machine': 'update/wrong-device',
  'release/too-old': 'update/too-old',
  'device/release-refused': 'update/not-installable',
  'device/not-proved': 'update/not-proved',
  'device/no-idle-slot': 'update/no-idle-slot',
  'device/no-slot': 'update/no-idle-slot',
  'device/over-budget': 'update/over-budget',
  'blocks/no-mirror': 'update/mirror-unreachable',
  'blocks/wrong-mirrors': 'update/mirror-mismatch',
  'blocks/over-budget': 'update/over-budget',
  'blocks/bad-description': 'update/not-installable',
  'blocks/too-small': 'update/not-installable',
  'blocks/disk-failed': 'update/disk-failed',
  'blocks/disk-wrong': 'update/disk-failed',
  'device/slot-closed': 'update/disk-failed',
  'device/slot-mismatch': 'update/slot-mismatch',
  'device/platform-unavailable': 'update/platform-unavailable',
  'device/platform-malformed': 'update/platform-unavailable',
  'device/bad-package': 'update/bad-package',
  'device/no-room': 'update/no-room',
  'device/package-lost': 'update/package-lost',
  'device/package-incomplete': 'update/repository-incomplete',
  'device/fetch-failed': 'update/mirror-unreachable',
};

/** The same of a release of apps, which has reasons of its own. */
export function appReasonOf(error: unknown): AppReason | UpdateReason {
  const given = error instanceof MblError ? error.details?.['reason'] : undefined;
  return typeof given === 'string' && isAppReason(given) ? given : reasonOf(error);
}

/** Of an error; one that has a reason among its details has it from whoever judged. */
export function reasonOf(error: unknown): UpdateReason {
  if (!(error instanceof MblError)) return 'update/failed';
  const given = error.details?.['reason'];
  if (typeof given === 'string' && isUpdateReason(given)) return given;
  return reasons[error.code] ?? 'update/failed';
}

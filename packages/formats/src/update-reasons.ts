// SPDX-License-Identifier: Apache-2.0

/**
 * Why an update does not go on, or came to nothing, for programs: object 33401 has the code beside the sentence for people. A code that is
 * there stays, with its meaning; a reader takes one that it does not know for `update/failed`.
 */
export const updateReasons = {
  'update/bad-uri': 'The Package URI names no release',
  'update/unsupported-protocol': 'The Package URI is neither http nor https',
  'update/unknown-release': 'The repository has no release of that name',
  'update/repository-incomplete': 'The repository is none, or lacks a file that its metadata names',
  'update/signature-invalid': 'Metadata or files are not what those have signed who may sign for them',
  'update/metadata-expired':
    'The metadata of the repository has expired, by the clock of the device: sign it again',
  'update/metadata-rolled-back': 'The repository shows older metadata than the device has seen',
  'update/wrong-device': 'The release is for other machines, or signed with the other kind of keys',
  'update/too-old': 'The rollback index of the release is below the one that the device accepted',
  'update/not-installable':
    'The release brings, or lacks, a component that this device cannot do with or without',
  'update/not-proved':
    'The version that runs has not proved good yet, and the other slot is the way back: try again in some minutes',
  'update/no-idle-slot': 'The device runs kernel and root of different slots, so that none is free',
  'update/mirror-unreachable':
    'No mirror answers, or none sends fast enough; the device tries again for an hour',
  'update/mirror-mismatch': 'What every mirror gives is not what was signed',
  'update/over-budget':
    'The update needs more bytes than its budget; nothing that would not fit was asked for',
  'update/no-room': 'There is no room for a package of that size',
  'update/bad-package': 'What was pushed is no package of a release',
  'update/package-lost': 'A package that was pushed broke off before it was whole',
  'update/disk-failed': 'The slot that is written cannot be read or written, or gives back something else',
  'update/slot-mismatch': 'The slot does not hold what was signed',
  'update/platform-unavailable': 'The platform service of the device does not answer',
  'update/not-started':
    'The new version was never started: the restart did not come, or the choice of the slot was lost',
  'update/did-not-come-up':
    'The new version was started as often as it may, and never came so far as to be judged',
  'update/unhealthy': 'The new version ran and was found to be not healthy',
  'update/replaced': 'Another release took its place before it was started',
  'update/failed': 'Something else: the sentence says what',
} as const;

export type UpdateReason = keyof typeof updateReasons;

export function isUpdateReason(text: string): text is UpdateReason {
  return Object.hasOwn(updateReasons, text);
}

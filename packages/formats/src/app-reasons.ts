// SPDX-License-Identifier: Apache-2.0

/**
 * What is wrong with an app, or keeps a release of apps away, for programs; what concerns the release itself has a code of `updateReasons`. A code that is there
 * stays, with its meaning; a reader takes one that it does not know for `app/failed`.
 */
export const appReasons = {
  'app/not-allowed': 'The app asks for something that the policy of the device does not allow',
  'app/needs-os': 'The app needs a newer operating system than the one that runs',
  'app/os-on-trial':
    'The operating system has not proved good yet: apps change when it has, or when the one before it is back',
  'app/needs-app': 'The app starts after another one that is not there',
  'app/conflict':
    'Another app has the same name, publishes the same port, owns the same name of the bus or has the same objects in the cloud',
  'app/no-room': 'The apps, with their volumes, do not fit on the device',
  'app/damaged': 'The image on the device is not the one that was signed',
  'app/not-confined': 'The kernel has no profile to confine apps by: none starts',
  'app/did-not-start': 'The app could not be started',
  'app/unhealthy': 'The health command of the app failed as often as it may',
  'app/ended': 'The program ended, with the status that the sentence says',
  'app/killed': 'A signal ended the program',
  'app/out-of-memory': 'The app needed more memory than its limit',
  'app/replaced': 'Another order took the place of this one',
  'app/failed': 'Something else: the sentence says what',
} as const;

export type AppReason = keyof typeof appReasons;

export function isAppReason(text: string): text is AppReason {
  return Object.hasOwn(appReasons, text);
}

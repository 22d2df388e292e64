// SPDX-License-Identifier: Apache-2.0
import type { AppReason, AppReleaseStatus, UpdateReason } from '@mbl/formats';

/** `bring`: fetch it and hand it on; `look`: the app manager is at it; `rest`: nothing is to be done. */
export type Next = 'bring' | 'look' | 'rest';

/** What is to be done about the release that a team is to have, by what the app manager says of it. */
export function nextFor(release: string, said: AppReleaseStatus | undefined): Next {
  if (said?.release !== release) return 'bring';
  switch (said.state) {
    case 'installing':
    case 'trying':
    case 'removing':
    case 'fetching':
      return 'look';
    case 'waits':
      // What keeps an app away that was brought is known to the app manager alone, which also sees that it goes.
      return bringsAnew.includes(said.reason) ? 'bring' : 'rest';
    case 'running':
    case 'fell-back':
    case 'refused':
      return 'rest';
  }
}

/** It was not brought; its image is damaged; what vouched for it has expired before it was installed. */
const bringsAnew: readonly AppReleaseStatus['reason'][] = ['', 'app/damaged', 'update/metadata-expired'];

/**
 * How a release that could not be brought goes on: `refused`, nothing that comes later changes it; `later`, somebody has to do something first, and each try
 * costs bytes; `soon` else.
 */
export function outlookOf(reason: AppReason | UpdateReason): 'refused' | 'later' | 'soon' {
  switch (reason) {
    case 'update/bad-uri':
    case 'update/unsupported-protocol':
    case 'update/signature-invalid':
    case 'update/wrong-device':
    case 'update/too-old':
    case 'update/not-installable':
      return 'refused';
    case 'update/unknown-release':
    case 'update/repository-incomplete':
    case 'update/metadata-expired':
    case 'update/metadata-rolled-back':
    case 'update/mirror-mismatch':
    case 'update/over-budget':
    case 'update/disk-failed':
    case 'app/no-room':
      return 'later';
    default:
      return 'soon';
  }
}

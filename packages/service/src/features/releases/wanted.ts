// SPDX-License-Identifier: Apache-2.0
import { isReleaseName, osTeam, releaseNameRule } from '@mbl/formats';
import { z } from 'zod';
import { invalid } from '../../infra/http/errors.ts';
import type { Catalogue } from './catalogue.ts';

/** Body of an order, of the system or of a team's apps: a release of the service's own repository, or of another one. */
export const releaseWanted = z
  .strictObject({
    release: z.string().refine(isReleaseName, `Must be ${releaseNameRule}`),
    repository: z
      .url({ protocol: /^https?$/ })
      .max(500)
      .refine((text) => !/[#?]/.test(text), 'Without # and ?')
      .optional()
      .describe('URL of a repository on another server; absent: the one that this service serves'),
  })
  .meta({ id: 'ReleaseWanted' });

export type ReleaseWanted = z.infer<typeof releaseWanted>;

/** Throws `validation_error` for a release that the service's own repository lacks: a typing error is better told now than by each device. */
export async function mustKnow(
  catalogue: Catalogue,
  { release, repository }: ReleaseWanted,
  team: string = osTeam,
): Promise<void> {
  if (repository !== undefined || (await catalogue.find(release, team)) !== undefined) return;
  const whose = team === osTeam ? '' : ` of ${team}`;
  throw invalid([{ name: 'release', message: `The service has no release ${release}${whose}` }]);
}

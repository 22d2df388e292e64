// SPDX-License-Identifier: Apache-2.0
import { InvalidArgumentError } from 'commander';
import { required, value } from '../../verb.ts';

/** Which repository. */
export const repositoryOption = {
  repository: value('folder', "the repository's folder (default: .mbl/releases)"),
};

/** The name of a release. */
export const releaseArgument = required('the name of the release, such as 1.1', releaseName);

export async function releaseName(text: string): Promise<string> {
  const { isReleaseName, releaseNameRule } = await import('@mbl/formats');
  if (!isReleaseName(text)) throw new InvalidArgumentError(`It must be ${releaseNameRule}.`);
  return text;
}

/** The text of a time, as in 2027-01-31 or 2027-01-31T12:00:00Z. */
export function time(text: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime()) || !/^\d{4}-\d\d-\d\d/.test(text))
    throw new InvalidArgumentError('It must be a time, as in 2027-01-31 or 2027-01-31T12:00:00Z.');
  return at;
}

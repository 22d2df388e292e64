// SPDX-License-Identifier: Apache-2.0
import type { Cli } from '../cli.ts';

/** What the stories share. Returns the environment that they run in. */
export async function prepareStories(_cli: Cli): Promise<Record<string, string>> {
  return {};
}

// SPDX-License-Identifier: Apache-2.0
import { type FactoryConfiguration, maxFactoryBytes, parseFactory, readText } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** Reads what the factory wrote into the device. Throws `device/no-factory`, and what `parseFactory` throws. */
export async function loadFactory(path: string): Promise<FactoryConfiguration> {
  const text = await readText(path, maxFactoryBytes);
  if (text !== undefined) return parseFactory(text, path);
  throw new MblError('device/no-factory', `there is no factory configuration at ${path}`, {
    remedy: 'Write the factory partition when the device is made.',
  });
}

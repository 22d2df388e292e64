// SPDX-License-Identifier: Apache-2.0
//
// What several verbs have in common.
import { InvalidArgumentError } from 'commander';
import { fromProject, type Given, optional, required, value, values } from './verb.ts';

/** A board is always an optional word: the only board, or the first by name, where it is left out. */
export const board = optional('the board (default: the only one, or the first by name)', endpointName);

/** A device is always the first word, by its id or its endpoint name. */
export const device = required('its id or its endpoint name');

/** Which key set signs. */
export const keyOptions = {
  keys: fromProject(
    value('folder', 'the key set that signs (default: .mbl/keys)'),
    (project) => project.keys,
  ),
};

/** Which image. */
export const imageOptions = {
  machine: fromProject(
    value('machine', 'the kind of board: a file in os/machines', { fallback: 'qemu-arm64' }),
    (project) => project.machine,
  ),
  image: fromProject(
    value('image', 'the image: a file in os/images', { fallback: 'development' }),
    (project) => project.image,
  ),
  layer: fromProject(values('folder', "a product's own folder, laid over os/"), (project) => project.layers),
  ...keyOptions,
};

export type KeyOptions = Partial<Given<typeof keyOptions>>;
export type ImageOptions = Omit<Given<typeof imageOptions>, keyof KeyOptions> & KeyOptions;

/** A whole number of at least `least`. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least || number > most) {
      const bounds = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`;
      throw new InvalidArgumentError(`It must be a whole number ${bounds}.`);
    }
    return number;
  };
}

/** An endpoint name. */
export async function endpointName(text: string): Promise<string> {
  const { endpointNameRule, isEndpointName } = await import('@mbl/formats');
  if (!isEndpointName(text)) throw new InvalidArgumentError(`It must be ${endpointNameRule}.`);
  return text;
}

/** `8080:80`: a port of the host and one of the guest. */
export function portForward(text: string): { host: number; guest: number } {
  const match = /^(\d{1,5}):(\d{1,5})$/.exec(text);
  const [host = 0, guest = 0] = (match ?? []).slice(1).map(Number);
  if (match === null || host > 65_535 || guest < 1 || guest > 65_535) {
    throw new InvalidArgumentError('It must be two ports, as in 8080:80.');
  }
  return { host, guest };
}

/** Refuses what is no LwM2M path: `/object/instance/resource` in numbers. */
export function resourcePath(text: string): string {
  if (!/^(\/\d{1,5}){1,4}$/.test(text)) {
    throw new InvalidArgumentError('It must be /object/instance/resource in numbers, as in /3/0/3.');
  }
  return text;
}

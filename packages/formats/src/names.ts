// SPDX-License-Identifier: Apache-2.0

/**
 * The name that a device has from its factory. It is also the name of a folder (a virtual board's), hence no dot in front, and the user of HTTP Basic
 * credentials (RFC 7617 §2) and a value in LwM2M's registration query, which the characters allow.
 */
export const endpointNamePattern = /^[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,63}$/;

/** The rule of endpoint names, to put behind "It must be". */
export const endpointNameRule =
  '1 to 64 letters, digits, dots, underscores, colons or dashes, and no dot in front';

export function isEndpointName(text: string): boolean {
  return endpointNamePattern.test(text);
}

/** The name that every service's certificate bears, and that devices ask for, whatever address they dial. */
export const serviceName = 'service.mbl.internal';

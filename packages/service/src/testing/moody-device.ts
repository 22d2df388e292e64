// SPDX-License-Identifier: Apache-2.0
import {
  type CoapRequest,
  type CoapResponse,
  Code,
  contentFormatOption,
  locationPathOptions,
  uriPath,
} from '@mbl/coap';

const none = new Uint8Array();
const refusals: Readonly<Record<string, number>> = {
  '3/0/1': Code.METHOD_NOT_ALLOWED,
  '3/0/2': Code.UNAUTHORIZED,
  '3/0/3': Code.REQUEST_ENTITY_TOO_LARGE,
  '3/0/4': Code.UNSUPPORTED_CONTENT_FORMAT,
  '3/0/5': Code.INTERNAL_SERVER_ERROR,
  '3/0/6': Code.SERVICE_UNAVAILABLE,
  '3/0/7': Code.BAD_REQUEST,
  '1': Code.FORBIDDEN,
};

/** The resources of the device below, which answers each in a way of its own, and some others. */
export const moodyPaths: readonly string[] = [
  ...Object.keys(refusals),
  '3/0/0',
  '3/0/8',
  '3/0/9',
  '3',
  '3/0',
];

/** A device that serves 3/0/0 and the object 3, says nonsense as 3/0/8, and refuses the others, each for its own reason. */
export function answerByMood({ code, options }: CoapRequest): CoapResponse {
  const path = uriPath(options).join('/');
  const refused = refusals[path];
  if (refused !== undefined) return { code: refused, options: [], payload: Buffer.from('not now') };
  if (path === '3/0/8')
    return { code: Code.CONTENT, options: [contentFormatOption(11542)], payload: Buffer.from([0xff]) };
  if (path === '3' && code === Code.POST)
    return { code: Code.CREATED, options: locationPathOptions(['3', '1']), payload: none };
  if (path !== '3/0/0' && path !== '3/0' && path !== '3')
    return { code: Code.NOT_FOUND, options: [], payload: none };
  if (code === Code.GET) {
    // TLV of the resource 0 alone (LwM2M Core 1.1 §7.4.3), within its instance where the object is asked for.
    const text = Buffer.from('MBL');
    const resource = Buffer.concat([Buffer.from([0xc3, 0]), text]);
    if (path === '3/0/0') return { code: Code.CONTENT, options: [contentFormatOption(0)], payload: text };
    const payload = path === '3/0' ? resource : Buffer.concat([Buffer.from([0x05, 0]), resource]);
    return { code: Code.CONTENT, options: [contentFormatOption(11542)], payload };
  }
  return { code: code === Code.DELETE ? Code.DELETED : Code.CHANGED, options: [], payload: none };
}

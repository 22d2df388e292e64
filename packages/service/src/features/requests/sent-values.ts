// SPDX-License-Identifier: Apache-2.0
import { ContentFormat } from '@mbl/coap';
import { formatPath, type Node, valueToText } from '@mbl/lwm2m';
import type { DeviceIdentity } from '../connections/connections.ts';
import type { ResourceNotification } from '../notifications/message.ts';
import { toMediaType } from './media-types.ts';

/** Below it a SenML time counts from now (RFC 8428 §4.5.3). Seconds. */
const relativeBelow = 2 ** 28;
/** The span of a Date, in milliseconds. */
const longestMs = 8.64e15;

/** What a device sent by itself (LwM2M Core 1.1 §6.4, Send) in the shape of notifications: one for each value, with the time at which it was measured. */
export function sentValues(
  { deviceId, endpointName }: DeviceIdentity,
  nodes: readonly Node[],
  now: number,
): ResourceNotification[] {
  return nodes.map(({ path, value, time }) => {
    const opaque = value instanceof Uint8Array;
    return {
      ep: deviceId,
      path: formatPath(path),
      ct: toMediaType(opaque ? ContentFormat.OCTET_STREAM : ContentFormat.TEXT),
      payload: Buffer.from(opaque ? value : valueToText(value)).toString('base64'),
      'max-age': '60',
      timestamp: timestamp(time, now),
      'original-ep': endpointName,
    };
  });
}

function timestamp(time: number | undefined, now: number): number {
  if (time === undefined) return now;
  const measured = Math.round(Math.abs(time) < relativeBelow ? now + time * 1000 : time * 1000);
  return Math.abs(measured) <= longestMs ? measured : now;
}

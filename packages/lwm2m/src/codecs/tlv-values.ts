// SPDX-License-Identifier: Apache-2.0
import type { Lwm2mValue, ResourceType } from '../values.ts';
import { compactInteger, fitValue, invalidValue, isObjectLink } from '../values.ts';
import { decodeUtf8 } from './limits.ts';

/** A value's bytes inside a TLV (LwM2M Core 1.1 Appendix C). */
export function valueToBytes(given: Lwm2mValue, type: ResourceType): Uint8Array {
  const value = fitValue(given, type);
  if (typeof value === 'string') return new TextEncoder().encode(value);
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0);
  if (value instanceof Uint8Array) return value;
  if (isObjectLink(value)) {
    return Uint8Array.of(value.objectId >> 8, value.objectId, value.instanceId >> 8, value.instanceId);
  }
  if (type === 'float') return floatToBytes(Number(value));
  return integerToBytes(BigInt(value), type === 'unsigned');
}

/** 4 bytes where they hold the same number, 8 otherwise. */
function floatToBytes(value: number): Uint8Array {
  const short = Math.fround(value) === value || Number.isNaN(value);
  const view = new DataView(new ArrayBuffer(short ? 4 : 8));
  if (short) view.setFloat32(0, value);
  else view.setFloat64(0, value);
  return new Uint8Array(view.buffer);
}

function integerToBytes(value: bigint, unsigned: boolean): Uint8Array {
  const bits = [8, 16, 32, 64].find(
    (width) => (unsigned ? BigInt.asUintN(width, value) : BigInt.asIntN(width, value)) === value,
  );
  const length = (bits ?? 64) / 8;
  const view = new DataView(new ArrayBuffer(8));
  view.setBigInt64(0, BigInt.asIntN(64, value));
  return new Uint8Array(view.buffer, 8 - length);
}

/** Bytes of an unknown resource stay bytes. Throws `Lwm2mError` (4.00). */
export function bytesToValue(bytes: Uint8Array, type: ResourceType | undefined): Lwm2mValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case undefined:
    case 'opaque':
      return bytes;
    case 'string':
    case 'corelnk':
      return decodeUtf8(bytes, 'TLV');
    case 'boolean':
      if (bytes.length === 1 && (bytes[0] === 0 || bytes[0] === 1)) return bytes[0] === 1;
      break;
    case 'integer':
    case 'time':
      if ([1, 2, 4, 8].includes(bytes.length)) return compactInteger(signed(view));
      break;
    case 'unsigned':
      if ([1, 2, 4, 8].includes(bytes.length)) {
        return compactInteger(BigInt.asUintN(bytes.length * 8, signed(view)));
      }
      break;
    case 'float':
      if (bytes.length === 4) return view.getFloat32(0);
      if (bytes.length === 8) return view.getFloat64(0);
      break;
    case 'objlnk':
      if (bytes.length === 4) return { objectId: view.getUint16(0), instanceId: view.getUint16(2) };
      break;
    case 'none':
      break;
  }
  throw invalidValue(type, `${bytes.length} bytes of TLV`);
}

function signed(view: DataView): bigint {
  switch (view.byteLength) {
    case 1:
      return BigInt(view.getInt8(0));
    case 2:
      return BigInt(view.getInt16(0));
    case 4:
      return BigInt(view.getInt32(0));
    default:
      return view.getBigInt64(0);
  }
}

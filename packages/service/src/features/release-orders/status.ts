// SPDX-License-Identifier: Apache-2.0
import { deviceModel, firmwareUpdateModel, mblUpdateModel, type Path } from '@mbl/lwm2m';
import { storable } from '../../infra/database.ts';
import type { DeviceSession } from '../connections/session.ts';

/** LwM2M Core 1.1 Appendix E.6, resource 3. */
export const updateStates = ['idle', 'downloading', 'downloaded', 'updating'] as const;

/** What a device says of its update: its object 5, and ours (33401) where it has that. */
export interface UpdateStatus {
  readonly state: (typeof updateStates)[number];
  /** Appendix E.6, resource 5. */
  readonly result: number;
  readonly uri: string;
  /** The release that is meant; '' where none is, or where the device does not tell. */
  readonly release: string;
  /** One sentence; may be ''. */
  readonly detail: string;
  /** Why it failed, as the device calls it; '' where it does not say. */
  readonly reason: string;
  readonly fetched: number | undefined;
  readonly toFetch: number | undefined;
}

const { rows: firmware } = firmwareUpdateModel;
const { rows: told } = mblUpdateModel;

const deviceRows = deviceModel.rows;
export const packageUriPath: Path = [firmwareUpdateModel.id, 0, firmware.packageUri[0]];
export const updatePath: Path = [firmwareUpdateModel.id, 0, firmware.update[0]];
const firmwarePath: Path = [firmwareUpdateModel.id, 0];
const detailPath: Path = [mblUpdateModel.id, 0];
const softwareVersionPath: Path = [deviceModel.id, 0, deviceRows.softwareVersion[0]];

const mostText = 500;

/** Whether a device has the object Firmware Update, which brings releases to it. */
export function isUpdatable(device: DeviceSession): boolean {
  return has(device, firmwareUpdateModel.id);
}

function has(device: DeviceSession, objectId: number): boolean {
  return device.paths.some(([object, instance = 0]) => object === objectId && instance === 0);
}

/** Undefined while the device does not know itself yet, as just after its start. Throws what reading throws. */
export async function readStatus(
  device: DeviceSession,
  signal: AbortSignal,
): Promise<UpdateStatus | undefined> {
  const nodes = [
    ...(await device.read(firmwarePath, { signal })),
    ...(has(device, mblUpdateModel.id) ? await device.read(detailPath, { signal }) : []),
  ];
  const value = (object: number, resource: number): unknown =>
    nodes.find(({ path }) => path[0] === object && path[2] === resource && path.length === 3)?.value;
  const text = (object: number, resource: number): string => plain(value(object, resource));
  const bytes = (resource: number): number | undefined => {
    const number = Number(value(mblUpdateModel.id, resource) ?? Number.NaN);
    return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
  };
  const state = updateStates[Number(value(firmwareUpdateModel.id, firmware.state[0]) ?? Number.NaN)];
  if (state === undefined) return undefined;
  return {
    state,
    result: Number(value(firmwareUpdateModel.id, firmware.updateResult[0]) ?? 0),
    uri: text(firmwareUpdateModel.id, firmware.packageUri[0]),
    // Of the same moment as the state.
    release: text(firmwareUpdateModel.id, firmware.pkgVersion[0]) || text(mblUpdateModel.id, told.release[0]),
    detail: text(mblUpdateModel.id, told.detail[0]),
    reason: text(mblUpdateModel.id, told.reason[0]),
    fetched: bytes(told.bytesFetched[0]),
    toFetch: bytes(told.bytesToFetch[0]),
  };
}

/** The identity of the build that a device of ours runs: the last word of its software version; undefined where it says none. */
export async function readBuild(device: DeviceSession, signal: AbortSignal): Promise<string | undefined> {
  if (!has(device, deviceModel.id) || !has(device, mblUpdateModel.id)) return undefined;
  const [node] = await device.read(softwareVersionPath, { signal });
  return typeof node?.value === 'string' ? / ([0-9a-f]{16})$/.exec(node.value)?.[1] : undefined;
}

/** What a device says as one line that can be stored and shown: nobody else's words are believed to be text. */
function plain(value: unknown): string {
  return typeof value === 'string' ? storable(value.replaceAll(/\p{Cc}+/gu, ' ').trim(), mostText) : '';
}

// SPDX-License-Identifier: Apache-2.0
import type { UpdateReason } from '@mbl/formats';
import { MblError } from '@mbl/trust';

/** LwM2M Core 1.1 Appendix E.6, resource 3. */
export const updateStates = { idle: 0, downloading: 1, downloaded: 2, updating: 3 } as const;

/** Appendix E.6, resource 5: those that happen here. */
export const updateResults = {
  initial: 0,
  success: 1,
  noFlash: 2,
  connectionLost: 4,
  integrityCheckFailure: 5,
  unsupportedPackage: 6,
  invalidUri: 7,
  failed: 8,
  unsupportedProtocol: 9,
} as const;

export interface UpdateStatus {
  readonly state: keyof typeof updateStates;
  readonly result: keyof typeof updateResults;
  readonly uri: string;
  /** The release that is meant; '' where none is. */
  readonly release: string;
  /** What happened, or what it is doing, in one sentence; may be ''. */
  readonly detail: string;
  /** Why it waits or failed; '' while nothing is wrong. */
  readonly reason: UpdateReason | '';
  /** Bytes that came over the wire, and all that it takes; 0 where that is not known yet. */
  readonly fetched: number;
  readonly toFetch: number;
}

/** Before anything was ordered. */
export const nothing: UpdateStatus = {
  state: 'idle',
  result: 'initial',
  uri: '',
  release: '',
  detail: '',
  reason: '',
  fetched: 0,
  toFetch: 0,
};

/** What no later attempt would change. */
const final: Readonly<Record<string, UpdateStatus['result']>> = {
  'device/bad-update-uri': 'invalidUri',
  'device/update-protocol': 'unsupportedProtocol',
  'device/update-refused': 'integrityCheckFailure',
  'device/bad-package': 'unsupportedPackage',
  'device/package-incomplete': 'integrityCheckFailure',
  'device/metadata-endless': 'integrityCheckFailure',
  'blocks/wrong-mirrors': 'integrityCheckFailure',
  'blocks/bad-description': 'integrityCheckFailure',
  'blocks/too-small': 'failed',
  'blocks/disk-failed': 'failed',
  'blocks/disk-wrong': 'failed',
  'device/slot-closed': 'failed',
  'device/over-budget': 'failed',
};

/** What an error comes to; undefined where another attempt may go better. */
export function resultOf(error: unknown): UpdateStatus['result'] | undefined {
  return error instanceof MblError ? final[error.code] : undefined;
}

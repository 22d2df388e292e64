// SPDX-License-Identifier: Apache-2.0

export interface EnrolmentTables {
  enrolment_codes: EnrolmentCodeRow;
}

export interface EnrolmentCodeRow {
  id: string;
  account_id: string;
  device_id: string;
  endpoint_name: string;
  hash: string;
  created_at: Date;
  expires_at: Date | null;
  claimed_at: Date | null;
  key_fingerprint: string | null;
  certificate_id: string | null;
  /** Until then it is accepted once more, for another key. */
  rearmed_until: Date | null;
}

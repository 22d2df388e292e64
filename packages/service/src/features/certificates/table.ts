// SPDX-License-Identifier: Apache-2.0

export type CertificateStatus = 'issued' | 'active' | 'superseded' | 'revoked';

export interface CertificateTables {
  device_certificates: CertificateRow;
}

export interface CertificateRow {
  id: string;
  device_id: string;
  fingerprint: string;
  key_fingerprint: string;
  pem: string;
  status: CertificateStatus;
  not_after: Date;
  issued_at: Date;
  revoked_at: Date | null;
  revocation_reason: string | null;
}

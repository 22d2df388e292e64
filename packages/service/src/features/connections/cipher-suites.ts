// SPDX-License-Identifier: Apache-2.0
import type { TlsOptions } from 'node:tls';

/**
 * What a connection of a device may be encrypted with, in the order that the service prefers: TLS 1.3; then, of TLS 1.2, only what agrees
 * on a key anew (ECDHE) for the P-256 key of the service's certificate. `AES128-CCM8` is the suite that each LwM2M client has (LwM2M
 * Transport 1.1 §5.2.2), for many small ones the only one; `AES128-SHA256` the other that LwM2M 1.0 names (§7.1.7).
 */
const suites = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES128-CCM',
  'ECDHE-ECDSA-AES128-CCM8',
  'ECDHE-ECDSA-AES128-SHA256',
];

/**
 * OpenSSL counts a suite whose tag has 64 bits, as CCM_8's has, below its security level 1. Level 0 asks nothing of anything, so everything
 * else that a level would hold is named here: versions, suites, signatures. Keys of certificates are the register's matter: it knows those that
 * it signed, and no others.
 */
export const deviceTls = {
  minVersion: 'TLSv1.2',
  ciphers: [...suites, '@SECLEVEL=0'].join(':'),
  honorCipherOrder: true,
  sigalgs: ['ECDSA', 'RSA-PSS', 'RSA']
    .flatMap((key) => [256, 384, 512].map((bits) => `${key}+SHA${bits}`))
    .join(':'),
} satisfies TlsOptions;

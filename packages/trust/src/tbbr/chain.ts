// SPDX-License-Identifier: Apache-2.0
import type { Signer } from '../signer.ts';
import { type TbbrExtension, tbbrCertificate } from './certificate.ts';

/** The keys of the firmware's chain of trust. The root of trust vouches for the two worlds, each world for its images' keys. */
export interface TbbrKeys {
  readonly rootOfTrust: Signer;
  readonly trustedWorld: Signer;
  readonly nonTrustedWorld: Signer;
  readonly bl31: Signer;
  readonly bl32: Signer;
  readonly bl33: Signer;
}

export interface TbbrImages {
  readonly bl2: Uint8Array;
  readonly bl31: Uint8Array;
  /** OP-TEE's header, pager and pageable part. */
  readonly bl32: readonly [Uint8Array, Uint8Array, Uint8Array];
  readonly bl33: Uint8Array;
}

/** Values of the non-volatile counters against rollback. */
export interface TbbrCounters {
  readonly trusted: number;
  readonly nonTrusted: number;
}

/** The certificates in DER, by the names of fiptool's options (`--trusted-key-cert` is `trusted-key-cert`). */
export type TbbrCertificates = Readonly<Record<TbbrCertificateName, Buffer>>;
export type TbbrCertificateName =
  | 'tb-fw-cert'
  | 'trusted-key-cert'
  | 'soc-fw-key-cert'
  | 'soc-fw-cert'
  | 'tos-fw-key-cert'
  | 'tos-fw-cert'
  | 'nt-fw-key-cert'
  | 'nt-fw-cert';

const arc = (last: number): string => `1.3.6.1.4.1.4128.2100.${last}`;
const hash = (last: number, image?: Uint8Array): TbbrExtension => ({ oid: arc(last), image });
const key = (last: number, signer: Signer): TbbrExtension => ({ oid: arc(last), key: signer });

/** All certificates of the TBBR chain of trust (TF-A `docs/design/auth-framework.rst`, `drivers/auth/tbbr/`). */
export async function tbbrCertificates(
  keys: TbbrKeys,
  images: TbbrImages,
  counters: TbbrCounters,
): Promise<TbbrCertificates> {
  const trusted: TbbrExtension = { oid: arc(1), counter: counters.trusted };
  const nonTrusted: TbbrExtension = { oid: arc(2), counter: counters.nonTrusted };
  const { rootOfTrust, trustedWorld, nonTrustedWorld, bl31, bl32, bl33 } = keys;
  const [optee, pager, pageable] = images.bl32;
  return {
    'tb-fw-cert': await tbbrCertificate('Trusted Boot FW Certificate', rootOfTrust, [
      trusted,
      hash(201, images.bl2),
      hash(202),
      hash(203),
      hash(204),
    ]),
    'trusted-key-cert': await tbbrCertificate('Trusted Key Certificate', rootOfTrust, [
      trusted,
      key(302, trustedWorld),
      key(303, nonTrustedWorld),
    ]),
    'soc-fw-key-cert': await tbbrCertificate('SoC Firmware Key Certificate', trustedWorld, [
      trusted,
      key(501, bl31),
    ]),
    'soc-fw-cert': await tbbrCertificate('SoC Firmware Content Certificate', bl31, [
      trusted,
      hash(603, images.bl31),
      hash(604),
    ]),
    'tos-fw-key-cert': await tbbrCertificate('Trusted OS Firmware Key Certificate', trustedWorld, [
      trusted,
      key(901, bl32),
    ]),
    'tos-fw-cert': await tbbrCertificate('Trusted OS Firmware Content Certificate', bl32, [
      trusted,
      hash(1001, optee),
      hash(1002, pager),
      hash(1003, pageable),
      hash(1004),
    ]),
    'nt-fw-key-cert': await tbbrCertificate('Non-Trusted Firmware Key Certificate', nonTrustedWorld, [
      nonTrusted,
      key(1101, bl33),
    ]),
    'nt-fw-cert': await tbbrCertificate('Non-Trusted Firmware Content Certificate', bl33, [
      nonTrusted,
      hash(1201, images.bl33),
      hash(1202),
    ]),
  };
}

// SPDX-License-Identifier: Apache-2.0
export {
  type TbbrCertificateName,
  type TbbrCertificates,
  type TbbrCounters,
  type TbbrImages,
  type TbbrKeys,
  tbbrCertificates,
} from './chain.ts';
export {
  readTbbrCertificate,
  type TbbrCertificate,
  type TbbrCertificateExtension,
} from './read-certificate.ts';

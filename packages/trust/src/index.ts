// SPDX-License-Identifier: Apache-2.0
export {
  type CertificateAuthority,
  certificatePem,
  epoch,
  fingerprint,
  type IssueOptions,
  isIssuedBy,
  issueCertificate,
  keyFingerprint,
  noExpiry,
  parseCertificate,
  type SelfSignedOptions,
  selfSign,
  subjectOf,
} from './certificates.ts';
export { MblError, type MblErrorOptions } from './errors.ts';
export {
  certsOnlyMediaType,
  decodeCertsOnly,
  decodeEstBody,
  encodeCertsOnly,
  encodeEstBody,
  requestMediaType,
} from './est.ts';
export {
  imageKeyNames,
  type KeyDescription,
  type KeyName,
  keyCatalogue,
  keyNames,
} from './keys/catalogue.ts';
export { type KeyPlace, type KeyProfile, releaseRootFile } from './keys/index-file.ts';
export { type InitKeysOptions, initKeys } from './keys/init.ts';
export {
  deviceCa,
  type KeyRef,
  type KeySet,
  type LoadKeysOptions,
  loadCertificate,
  loadKeys,
  openSigner,
  privateKeyFile,
} from './keys/key-set.ts';
export { confirmProfile, imagePublicKeys, type PublicKeys } from './keys/profile.ts';
export type { SubjectName } from './names.ts';
export {
  type PayloadFormat,
  type PelionManifest,
  type PelionPayload,
  readManifest1,
  readManifest3,
} from './pelion-manifest.ts';
export { type CertificationRequest, createRequest, type EncodedRequest, parseRequest } from './requests.ts';
export { type KeyAlgorithm, memorySigner, type Signer } from './signer.ts';
export { buildSigner, deterministicSigner } from './deterministic-signer.ts';
export * from './tbbr/index.ts';

// SPDX-License-Identifier: Apache-2.0
export { HttpMirror, type HttpMirrorOptions } from './http-mirror.ts';
export { type CopyMap, type CopyRun, formatCopyMap, maxCopyMapSize, parseCopyMap } from './copy/copy-map.ts';
export { DigestTable, matchBlocks } from './copy/match.ts';
export type { BlockDisk, BlockSource, JournalStore, Mirror, MirrorAnswer } from './devices.ts';
export { alignedBuffer, countBlocks, DirectDisk, openDirect } from './direct-disk.ts';
export { type ErofsOptions, makeErofs, type MakeErofsOptions } from './erofs/make-erofs.ts';
export { FileDisk, type FileExtent, FileJournal, FileSource } from './file-devices.ts';
export { FsVerityHasher } from './fs-verity.ts';
export { GroupHasher, maxDataBlocks } from './groups.ts';
export { BlockHasher, VerityHasher, type VerityTree } from './hasher.ts';
export { BLOCK_SIZE, DIGEST_SIZE, FANOUT, type Level, treeLevels, treeSize } from './layout.ts';
export type { Framing, PayloadFile } from './payload/format.ts';
export { writeStream } from './payload/stream.ts';
export { defaultFraming, type PayloadOptions, writePayload } from './payload/write.ts';
export type { Wrong } from './transfer/blame.ts';
export type { Sleep } from './transfer/body-reader.ts';
export type { Timing } from './transfer/fetcher.ts';
export type { StreamFile } from './transfer/stream.ts';
export {
  type MapFile,
  type Progress,
  type TransferOptions,
  type TransferReport,
  transfer,
} from './transfer/transfer.ts';
export { type VerityDescription, VerityVerifier } from './verifier.ts';
export {
  badArchive,
  longestTarName,
  readHeader,
  paxRecords,
  tarBlock,
  type TarHeader,
  tarNumber,
} from './tar/header.ts';
export { indexTar, type TarPlace, type TarSource } from './tar/index-tar.ts';
export { type EntryType, readTar, safePath, type TarEntry, tarTypes } from './tar/read.ts';
export { paddingAfter, plainHeader, plainHeaders, tarEnd, type TarOutput, writeTar } from './tar/write.ts';

// SPDX-License-Identifier: Apache-2.0
export { downloadSize } from './rootfs/download-size.ts';
export { type BuildOptions, type BuildResult, build } from './build.ts';
export { findMirrors } from './debian/mirror.ts';
export type { ToolboxName } from './tools/contents.ts';
export { lockFile } from './engine/file-lock.ts';
export { openLockedToolbox } from './tools/locked.ts';
export type { TaskEvent, TaskReport } from './engine/events.ts';
export { type CacheKind, pruneCache, type PruneOptions, type Pruned } from './engine/prune.ts';
export { buildCpio } from './kernel/cpio.ts';
export { buildFip, findFip, readFip } from './firmware/fip.ts';
export {
  type BlobNode,
  type BlobProperty,
  type DeviceTreeBlob,
  findNode,
  propertyOf,
  readDeviceTreeBlob,
} from './kernel/device-tree-blob.ts';
export { type CompareOptions, compareImages, type ImageComparison } from './image/compare/compare.ts';
export type { Difference, DifferenceKind } from './image/compare/facts.ts';
export { buildFit, type FitImages } from './kernel/fit.ts';
export type { LockFileChange } from './locks/lock-files.ts';
export { formatLockChange } from './recipes/lock.ts';
export { type Project, readProject } from './recipes/project.ts';
export type { Machine } from './recipes/machine.ts';
export type { Image } from './recipes/image.ts';
export { loadRecipes, type Recipes, type RecipesOptions } from './recipes/recipes.ts';

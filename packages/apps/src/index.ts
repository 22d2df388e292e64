// SPDX-License-Identifier: Apache-2.0
export { type AppSource, type BuildAppOptions, type BuiltApp, buildApp } from './package/build.ts';
export { checkPackage } from './package/check.ts';
export { appFiles, readPackage } from './package/folder.ts';
export { type AppFile } from './recipe/app-file.ts';
export { type LoadedApp, loadApp, readApp } from './recipe/read.ts';

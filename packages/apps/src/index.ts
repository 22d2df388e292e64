// SPDX-License-Identifier: Apache-2.0
export { type AppSource, type BuildAppOptions, type BuiltApp, buildApp } from './package/build.ts';
export { type AppComparison, comparePackages } from './package/compare.ts';
export { checkPackage } from './package/check.ts';
export { appFiles, readPackage } from './package/folder.ts';
export { type AppFile } from './recipe/app-file.ts';
export { newApp, type NewAppOptions, templates } from './recipe/new-app.ts';
export { type LoadedApp, loadApp, readApp } from './recipe/read.ts';

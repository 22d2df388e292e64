// SPDX-License-Identifier: Apache-2.0
export { type FactoryFiles, packFactory } from './pack.ts';
export { provisionDisk, type ProvisionOptions } from './provision.ts';

// SPDX-License-Identifier: Apache-2.0
export { runCloudClient } from './cloud-client/main.ts';
export { runPlatform } from './platformd/main.ts';

// SPDX-License-Identifier: Apache-2.0
export { IdentityStore } from './cloud-client/identity.ts';
export { runCloudClient } from './cloud-client/main.ts';
export { loadSettings } from './cloud-client/settings.ts';
export { runPlatform } from './platformd/main.ts';
export { systemTools } from './storage/tools.ts';
export { boardVolumes, examine } from './storage/volume.ts';

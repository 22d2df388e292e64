// SPDX-License-Identifier: Apache-2.0
export { IdentityStore } from './cloud-client/identity.ts';
export { runCloudClient } from './cloud-client/main.ts';
export { loadSettings } from './cloud-client/settings.ts';
export { runProgram } from './common/run.ts';
export type { FirmwareBanks } from './firmware/banks.ts';
export { keepSecondCopy, settleFirmware } from './firmware/release.ts';
export { goodBoot } from './good-boot/main.ts';
export { judgeTrial } from './health/main.ts';
export { defaultSystem } from './platform/options.ts';
export { installUpdates, type UpdateState } from './platform/update.ts';
export { runPlatform } from './platformd/main.ts';
export { TrialStore } from './slots/trial.ts';
export { systemTools } from './storage/tools.ts';
export { boardVolumes, examine } from './storage/volume.ts';

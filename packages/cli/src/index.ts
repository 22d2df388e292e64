// SPDX-License-Identifier: Apache-2.0
export type { Cli } from './cli.ts';
export { endWithFailure } from './failure.ts';
export { Output } from './output.ts';
export { processCli } from './process.ts';
export { describeProgram, runProgram } from './program.ts';
export { formatDuration } from './table.ts';
export { buildImage } from './workbench/image.ts';
export { toolPath, useTools } from './workbench/tools.ts';
export { findService, startDaemon, stopDaemon } from './workbench/service.ts';
export { findWorkspace, type Workspace } from './workspace.ts';

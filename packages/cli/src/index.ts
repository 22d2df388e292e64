// SPDX-License-Identifier: Apache-2.0
export type { Cli } from './cli.ts';
export { Output } from './output.ts';
export { runProgram } from './program.ts';
export { findService, startDaemon, stopDaemon } from './workbench/service-daemon.ts';
export { findWorkspace, type Workspace } from './workspace.ts';

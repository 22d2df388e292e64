// SPDX-License-Identifier: Apache-2.0
export type { Cli } from './cli.ts';
export { Output } from './output.ts';
export { runProgram } from './program.ts';
export { findWorkspace, type Workspace } from './workspace.ts';

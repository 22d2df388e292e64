// SPDX-License-Identifier: Apache-2.0
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { findWorkspace } from './workspace.ts';

const workspace = findWorkspace();
enableCompileCache(join(workspace.root, 'node_modules/.cache/mbl'));

const { processCli } = await import('./process.ts');
const { runProgram } = await import('./program.ts');

process.exitCode = await runProgram(processCli(workspace), process.argv.slice(2));

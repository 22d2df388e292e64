// SPDX-License-Identifier: Apache-2.0
//
// node tools/test.ts [--verbose] [what...]: what `mbl test` runs.
import { endWithFailure, findWorkspace, processCli } from '@mbl/cli';
import { parseArgs } from 'node:util';
import { selectTests } from './test-run/select.ts';
import { TestRun } from './test-run/test-run.ts';

const { values, positionals } = parseArgs({
  options: { verbose: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const cli = processCli(findWorkspace());
try {
  const selection = await selectTests(cli.workspace.root, positionals);
  process.exitCode = await new TestRun(cli, values.verbose).all(selection);
} catch (error) {
  process.exitCode = endWithFailure(cli, error);
}

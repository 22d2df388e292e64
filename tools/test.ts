// SPDX-License-Identifier: Apache-2.0
//
// node tools/test.ts [--verbose] [what...]: what `mbl test` runs.
import { endWithFailure, findWorkspace, processCli } from '@mbl/cli';
import { parseArgs } from 'node:util';
import { selectTests } from './test-run/select.ts';
import { TestRun } from './test-run/test-run.ts';
import { takeTurns, turnOf } from './test-run/turns.ts';

const { values, positionals } = parseArgs({
  options: { verbose: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const workspace = findWorkspace();
// Who names what to run gets all of it.
const turn = positionals.length === 0 ? await turnOf(workspace.root, process.env) : undefined;
// For stories of which a part takes turns.
if (turn !== undefined) process.env['MBL_TEST_TURN'] = String(turn);
const cli = processCli(workspace);
try {
  const { root } = cli.workspace;
  let selection = await selectTests(root, positionals);
  let out: string[] = [];
  if (turn !== undefined) ({ selection, out } = takeTurns(selection, turn));
  if (out.length > 0)
    cli.output.remark(`Not their turn this time: ${out.join(' ')}. With them: ./mbl test all`);
  process.exitCode = await new TestRun(cli, values.verbose).all(selection);
} catch (error) {
  process.exitCode = endWithFailure(cli, error);
}

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { updateBySsh } from './update-by-ssh.ts';

const folder = mkdtempSync(join(tmpdir(), 'mbl-ssh-'));
const path = process.env['PATH'];

/**
 * In the place of `ssh`: takes its next answer from a list, keeps what it was called with, and where a port is forwarded looks through it as
 * the device would.
 */
const program = `#!${process.execPath}
const fs = require('node:fs');
const place = ${JSON.stringify(folder)};
const args = process.argv.slice(2);
const answers = JSON.parse(fs.readFileSync(place + '/answers', 'utf8'));
const [code, out, err = ''] = answers.shift();
fs.writeFileSync(place + '/answers', JSON.stringify(answers));
const forward = args[args.indexOf('-R') + 1];
const port = args.includes('-R') ? forward.split(':').at(-1) : undefined;
const look = async () => port && (await fetch('http://127.0.0.1:' + port + '/metadata/timestamp.json')).text();
look().then((seen) => {
  fs.appendFileSync(place + '/calls', JSON.stringify({ args, seen }) + '\\n');
  process.stdout.write(out);
  process.stderr.write(err);
  process.exitCode = code;
});
`;

beforeEach(() => {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(join(folder, 'repository/metadata'), { recursive: true });
  writeFileSync(join(folder, 'repository/metadata/timestamp.json'), 'signed');
  writeFileSync(join(folder, 'bin/ssh'), program, { mode: 0o755 });
  writeFileSync(join(folder, 'calls'), '');
  process.env['PATH'] = `${join(folder, 'bin')}${delimiter}${path}`;
});
after(() => {
  process.env['PATH'] = path;
  rmSync(folder, { recursive: true, force: true });
});

type Answer = [code: number, out: string, err?: string];

async function update(release: string, answers: Answer[]) {
  writeFileSync(join(folder, 'answers'), JSON.stringify(answers));
  const said: string[] = [];
  const done = await updateBySsh({
    name: 'one',
    ssh: ['-i', 'key', 'root@one'],
    release,
    folder: join(folder, 'repository'),
    signal: new AbortController().signal,
    report: (_fraction, what = '') => said.push(what),
    pauseMs: 1,
  });
  return { done, said };
}

const calls = (): { args: string[]; seen?: string }[] =>
  readFileSync(join(folder, 'calls'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { args: string[]; seen?: string });

const status = (state: string, detail = ''): Answer => [
  0,
  `state=${state}\nrelease=1.1\nreason=\ndetail=${detail}\n`,
];

test('the repository is served through the connection, and the board is followed until it has proved good', async () => {
  const { done, said } = await update('1.1', [
    [255, '', 'Error: remote port forwarding failed for listen port 20000\n'],
    [0, 'root: 50%\n1.1 is in its slot\n'],
    [255, '', 'ssh: connect to host one: Connection refused\n'],
    status('trying'),
    [0, 'state=confirmed\nrelease=1.0\nreason=\ndetail=\n'],
    status('confirmed'),
  ]);
  assert.deepEqual(done, { release: '1.1' });
  assert.ok(said.includes('root: 50%'), said.join());
  const [first, second] = calls();
  assert.equal(second?.seen, 'signed');
  assert.notEqual(first?.args[first.args.indexOf('-R') + 1], second?.args[second.args.indexOf('-R') + 1]);
  assert.match(second?.args.at(-1) ?? '', /^\/usr\/sbin\/mbl-update '1\.1' 'http:\/\/127\.0\.0\.1:\d+\/'$/);
  assert.deepEqual(second?.args.slice(-5, -1), ['-i', 'key', 'root@one', '--']);
});

test('a mirror that is named is asked by the device itself; words are no commands', async () => {
  await update("http://mirror/x'; reboot #1.1", [[0, ''], status('confirmed')]);
  const [first] = calls();
  assert.ok(!first?.args.includes('-R'));
  assert.equal(first?.args.at(-1), `/usr/sbin/mbl-update '1.1' 'http://mirror/x'\\''; reboot '`);
});

test('what the device refuses, and what it goes back from, is told in its words', async () => {
  await assert.rejects(update('1.1', [[1, 'fetching\nnobody signed it\n']]), {
    code: 'cli/update-failed',
    message: /nobody signed it$/,
  });
  await assert.rejects(update('1.1', [[0, ''], status('fell-back', 'a unit failed: x.service')]), {
    code: 'cli/update-failed',
    message: /a unit failed: x\.service$/,
  });
  await assert.rejects(update('1.1', [[255, '', 'root@one: Permission denied (publickey).\n']]), {
    code: 'cli/ssh-failed',
    message: /Permission denied/,
  });
  await assert.rejects(
    update('1.1', [[127, '', 'bash: /usr/sbin/mbl-update: No such file or directory\n']]),
    {
      code: 'cli/update-failed',
      message: /No such file/,
    },
  );
});

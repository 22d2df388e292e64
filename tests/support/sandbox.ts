// SPDX-License-Identifier: Apache-2.0
//
// Somebody runs code inside a device service: the unit as it is, with the attacker's program in the place of the service's own.
import assert from 'node:assert/strict';
import type { Board } from '@mbl/lab';

/** One thing that an attacker tries: what it is called in the report, and the code. */
type Attempts = Readonly<Record<string, string>>;

/** In the service's JavaScript, where Node's permission model stands in the way; the code throws when it is refused. */
const inNode: Attempts = {
  'read an account file': `fs.readFileSync('/etc/shadow')`,
  'read a program': `fs.readFileSync('/usr/bin/bash')`,
  'write a temporary file': `fs.writeFileSync('/tmp/stolen', 'x')`,
  'start a process': `child.execFileSync('/usr/bin/true')`,
  'start a thread': `new worker.Worker('1', { eval: true })`,
  // Without the permission model this one fails as well, later: it is no module of Node's.
  'load native code': `try { process.dlopen({ exports: {} }, '/usr/lib/aarch64-linux-gnu/libc.so.6'); }
    catch (error) { if (error.code === 'ERR_DLOPEN_DISABLED') throw error; }`,
  'make code of a string': `new Function('return 1')()`,
};

/** In a shell, past Node: what systemd and the kernel leave; the command fails when it is refused. */
const inShell: Attempts = {
  'write to the root': 'echo x >/usr/bin/new',
  'write to the configuration partition': 'echo x >/config/new',
  'write to the data partition': 'echo x >/var/lib/new',
  'write where others run things': 'echo x >/run/new',
  'read an account file': 'cat /etc/shadow',
  'read the enrolment code': 'cat /factory/factory.json',
  'see a disk': 'ls /dev/vda',
  'see the TEE': 'ls /dev/tee0',
  'mount a file system': 'mount -t tmpfs none /tmp',
  'make a namespace': 'unshare --user true',
  'change the clock': 'date -s "$(date)"',
  'change the name of the host': 'echo stolen >/proc/sys/kernel/hostname',
  'read the log of the kernel': 'dmesg',
  'end another process': 'kill -9 1',
  'see the processes of others': 'ls /proc/1',
  'have a capability': 'grep -v "^Cap[A-Z][a-z]*:.*0000000000000000" /proc/self/status | grep -q "^Cap"',
  'gain privileges from a program': 'grep -q "NoNewPrivs:.*0" /proc/self/status',
  'call what is filtered': 'grep -q "Seccomp:.*0" /proc/self/status',
};

/** Runs a command as root; fails when it does. */
async function shell(board: Board, command: string, input = ''): Promise<string> {
  const { code, stdout, stderr } = await board.ssh(command, { timeoutMs: 120_000, input });
  assert.equal(code, 0, `${command}: ${stderr}`);
  return stdout;
}

/** Asserts that root, in no sandbox, is refused only what nobody may do: so that what the sandbox refuses is the sandbox's doing. */
export async function attackAsRoot(board: Board): Promise<void> {
  await shell(board, 'cat >/run/attack.mjs', nodeProgram(inNode));
  assert.deepEqual(outcomes(await shell(board, 'node /run/attack.mjs')), each(inNode, 'done'));
  await shell(board, 'cat >/run/attack.sh', shellProgram(inShell));
  const asRoot = outcomes(await shell(board, 'unshare --mount --uts bash /run/attack.sh'));
  assert.deepEqual(asRoot, each(inShell, 'done').set('write to the root', 'refused'));
  await shell(board, 'rm -f /config/new /var/lib/new /run/new /tmp/stolen');
}

/**
 * Runs every attempt inside the service `unit` (its script is `/usr/lib/mbl/<script>`), and asserts that each was refused. The unit's own
 * lines stand; only the script, then the command, is another one. The service runs again afterwards.
 */
export async function attackFromInside(
  board: Board,
  { unit, script, attempts = {} }: { unit: string; script: string; attempts?: Attempts },
): Promise<void> {
  const dropIn = `/run/systemd/system/${unit}.service.d`;
  // A program that is run once and speaks to the log.
  const once = 'Type=oneshot\\nRestart=no\\nBusName=\\nSyslogIdentifier=attack\\n';
  const attack = async (lines: string): Promise<Map<string, string>> => {
    await shell(board, `systemctl stop ${unit}; mkdir -p ${dropIn}`);
    await shell(
      board,
      `printf '[Service]\\n${once}${lines}\\n' >${dropIn}/attack.conf; systemctl daemon-reload`,
    );
    const since = (
      await shell(board, 'journalctl -n 1 -o cat --show-cursor | sed -n "s/^-- cursor: //p"')
    ).trim();
    await shell(board, `systemctl start ${unit}; systemctl stop ${unit}`);
    const said = await shell(board, `journalctl -t attack -o cat --after-cursor='${since}'`);
    return outcomes(said);
  };
  try {
    await shell(board, 'cat >/run/attack.mjs; chmod 644 /run/attack.mjs', nodeProgram(inNode));
    assert.deepEqual(
      await attack(`BindReadOnlyPaths=/run/attack.mjs:/usr/lib/mbl/${script}`),
      each(inNode, 'refused'),
      `${unit}: from its JavaScript`,
    );
    const programs = { ...inShell, ...attempts };
    await shell(board, 'cat >/run/attack.sh; chmod 644 /run/attack.sh', shellProgram(programs));
    const inBash = 'ExecStart=\\nExecStart=-/bin/bash /run/attack.sh';
    assert.deepEqual(await attack(inBash), new Map(), `${unit}: no shell starts`);
    assert.deepEqual(
      // The unit's ExecPaths= keeps every shell from starting; with this line more one does, to try what else stands in its way.
      await attack(`${inBash}\\nExecPaths=/usr/bin`),
      each(programs, 'refused'),
      `${unit}: from a shell`,
    );
  } finally {
    await shell(board, `rm -rf ${dropIn}; systemctl daemon-reload; systemctl restart ${unit}`);
  }
}

function outcomes(said: string): Map<string, string> {
  return new Map(
    [...said.matchAll(/^(done|refused): (.*)$/gm)].map(([, outcome = '', name = '']) => [name, outcome]),
  );
}

function each(attempts: Attempts, outcome: 'done' | 'refused'): Map<string, string> {
  return new Map(Object.keys(attempts).map((name) => [name, outcome]));
}

function nodeProgram(attempts: Attempts): string {
  const entries = Object.entries(attempts).map(
    ([name, code]) => `attempt(${JSON.stringify(name)}, () => { ${code}; });`,
  );
  return `import fs from 'node:fs';
import child from 'node:child_process';
import worker from 'node:worker_threads';
function attempt(name, act) {
  try { act(); console.log('done: ' + name); } catch { console.log('refused: ' + name); }
}
${entries.join('\n')}
`;
}

function shellProgram(attempts: Attempts): string {
  const entries = Object.entries(attempts).map(
    ([name, command]) =>
      `if ( ${command} ) >/dev/null 2>&1; then echo 'done: ${name}'; else echo 'refused: ${name}'; fi`,
  );
  return `${entries.join('\n')}\n`;
}

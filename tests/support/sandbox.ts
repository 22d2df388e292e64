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

export interface Victim {
  readonly unit: string;
  /** Its program, below `/usr/lib/mbl`. */
  readonly script: string;
  /** What is tried from a shell in this one only. */
  readonly attempts: Attempts;
}

/**
 * Runs every attempt inside each of the services, and asserts that each was refused. The units' own lines stand; only the script, then the
 * command, is another one. The services run again afterwards.
 */
export async function attackFromInside(board: Board, victims: readonly Victim[]): Promise<void> {
  const dropIn = (unit: string): string => `/run/systemd/system/${unit}.service.d`;
  const units = victims.map(({ unit }) => unit).join(' ');
  // A program that is run once and speaks to the log.
  const once = 'Type=oneshot\\nRestart=no\\nBusName=\\nSyslogIdentifier=attack\\n';
  /** What each of the services said with these lines more. */
  const attack = async (lines: (victim: Victim) => string): Promise<Map<Victim, Map<string, string>>> => {
    const write = victims.map((victim) => {
      const folder = dropIn(victim.unit);
      return `mkdir -p ${folder}; printf '[Service]\\n${once}${lines(victim)}\\n' >${folder}/attack.conf`;
    });
    // In this order, one after the other: who still runs would have the bus start again whom it asks.
    const stop = victims.map(({ unit }) => `systemctl stop ${unit}`);
    await shell(board, [...stop, ...write, 'systemctl daemon-reload'].join('; '));
    const said = new Map<Victim, Map<string, string>>();
    for (const victim of victims) {
      const cursor = await shell(board, 'journalctl -n 1 -o cat --show-cursor | sed -n "s/^-- cursor: //p"');
      const run = `systemctl start ${victim.unit}; systemctl stop ${victim.unit}`;
      const log = `journalctl -t attack -o cat --after-cursor='${cursor.trim()}'`;
      said.set(victim, outcomes(await shell(board, `${run}; ${log}`)));
    }
    return said;
  };
  try {
    await shell(board, 'cat >/run/attack.mjs; chmod 644 /run/attack.mjs', nodeProgram(inNode));
    for (const { unit, attempts } of victims) {
      const program = shellProgram({ ...inShell, ...attempts });
      await shell(board, `cat >/run/attack-${unit}.sh; chmod 644 /run/attack-${unit}.sh`, program);
    }
    const inBash = (unit: string): string => `ExecStart=-/bin/bash /run/attack-${unit}.sh`;
    // The service's own command with another script; behind it a shell, which must not start: it would report more.
    const first = await attack(
      ({ unit, script }) => `BindReadOnlyPaths=/run/attack.mjs:/usr/lib/mbl/${script}\\n${inBash(unit)}`,
    );
    for (const [{ unit }, said] of first)
      assert.deepEqual(said, each(inNode, 'refused'), `${unit}: from its JavaScript, and no shell starts`);
    // The unit's ExecPaths= keeps every shell from starting; with this line more one does, to try what else stands in its way.
    const second = await attack(({ unit }) => `ExecStart=\\n${inBash(unit)}\\nExecPaths=/usr/bin`);
    for (const [{ unit, attempts }, said] of second)
      assert.deepEqual(said, each({ ...inShell, ...attempts }, 'refused'), `${unit}: from a shell`);
  } finally {
    const folders = victims.map(({ unit }) => dropIn(unit)).join(' ');
    await shell(board, `rm -rf ${folders}; systemctl daemon-reload; systemctl restart ${units}`);
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

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyPresets } from './presets.ts';
import { Tree } from './tree.ts';
import { waysIn } from './ways-in.ts';

const units = 'usr/lib/systemd/system';
const own = 'etc/systemd/system';
const service = (...lines: string[]): string => `[Service]\n${lines.join('\n')}\n`;

/** What a root of a product has: shells, units for people that are masked or off, an emergency that restarts. */
const product: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\napp:x:2000:2000::/:/usr/sbin/nologin\n',
  'etc/shadow': 'root:*:1::::::\napp:!:1::::::\n',
  'usr/bin/dash': '\x7fELF',
  'usr/bin/sh': '-> dash',
  'usr/bin/node': '\x7fELF',
  'usr/sbin/agetty': '\x7fELF',
  'usr/bin/login': '\x7fELF',
  'usr/sbin/sulogin': '\x7fELF',
  'usr/bin/ssh': '\x7fELF',
  'etc/pam.d/sshd': 'auth required pam_deny.so\n',
  [`${units}/multi-user.target`]: '[Unit]\nWants=app.service\nAfter=getty@tty1.service rescue.service\n',
  [`${units}/emergency.target`]: '[Unit]\nRequires=emergency.service\n',
  [`${units}/emergency.service`]: service("ExecStart=/bin/sh -c 'echo restart'", 'StandardOutput=tty'),
  [`${units}/rescue.target`]: '[Unit]\nRequires=rescue.service\n',
  [`${units}/rescue.service`]: service('ExecStart=-/usr/lib/systemd/systemd-sulogin-shell rescue'),
  [`${own}/rescue.service`]: '-> /dev/null',
  [`${units}/getty.target`]: '[Unit]\nDescription=Login Prompts\n',
  [`${units}/multi-user.target.wants/getty.target`]: '-> ../getty.target',
  [`${units}/getty@.service`]: service('ExecStart=-/sbin/agetty - linux', 'StandardInput=tty'),
  [`${units}/serial-getty@.service`]: service(
    'ExecStart=-/sbin/agetty - linux',
    '[Install]',
    'WantedBy=getty.target',
  ),
  [`${own}/getty@.service`]: '-> /dev/null',
  [`${units}/debug-shell.service`]: `${service('ExecStart=/bin/sh', 'StandardInput=tty')}[Install]\nWantedBy=sysinit.target\n`,
  [`${units}/mbl-console.service`]: `${service("ExecStart=-/bin/sh -c 'exec /bin/bash -l'", 'StandardInput=tty-force')}[Install]\nWantedBy=multi-user.target\n`,
  // A display on a terminal, a script that answers on a socket, a script with the word in it, a sensor on a serial line.
  [`${units}/app.service`]: service('ExecStart=/usr/bin/app --no-login /etc/login', 'StandardInput=tty-fail'),
  'usr/bin/app': '\x7fELF',
  'usr/libexec/answer': '#!/bin/sh\n# not a getty\necho "please login"; exec cat\n',
  [`${units}/answer@.service`]: service('ExecStart=/usr/libexec/answer', 'StandardInput=socket'),
  [`${units}/sockets.target.wants/answer.socket`]: '-> ../answer.socket',
  [`${units}/sensor.service`]: service("ExecStart=/bin/sh -c 'while read x; do echo $x; done' </dev/ttyS1"),
  [`${units}/multi-user.target.wants/sensor.service`]: '-> ../sensor.service',
};

function treeOf(more: Readonly<Record<string, string>>, enable: readonly string[] = []): Tree {
  const tree = new Tree();
  for (const [path, text] of Object.entries({ ...product, ...more })) {
    if (text.startsWith('-> ')) tree.symlink(path, text.slice(3), 'test');
    else tree.file(path, text, 'test', /(?:^|\/)s?bin\/|libexec|generators/.test(path) ? 0o755 : 0o644);
  }
  applyPresets(tree, { enable, disable: [], mask: [] });
  return tree;
}

const found = (more: Readonly<Record<string, string>>, enable?: readonly string[]): string[] =>
  waysIn(treeOf(more, enable)).map(({ path, what }) => `${path} ${what}`);

test('a product has no way in, though it has shells, login programs and units that are off', () => {
  assert.deepEqual(found({}), []);
});

const ways: readonly [name: string, expected: RegExp, files: Record<string, string>, enable?: string[]][] = [
  [
    'a password',
    /shadow:2 lets "app" in with a password/,
    { 'etc/shadow': 'root:*:1::::::\napp:$y$j9T$x:1::::::\n' },
  ],
  ['an empty password', /shadow:1 lets "root" in with no password/, { 'etc/shadow': 'root::1::::::\n' }],
  ['a password in passwd', /passwd:1 lets "root" in/, { 'etc/passwd': 'root:aa8x:0:0::/:/bin/sh\n' }],
  ['no password in passwd', /passwd:1 lets "root" in with no/, { 'etc/passwd': 'root::0:0::/:/bin/sh\n' }],
  ['OpenSSH', /\/usr\/sbin\/sshd is a server/, { 'usr/sbin/sshd': '\x7fELF' }],
  ['OpenSSH under another name', /sshd-session is a server/, { 'usr/libexec/sshd-session': '\x7fELF' }],
  ['dropbear as a link', /dropbear is a server/, { 'usr/local/bin/dropbear': '-> /opt/acme/tool' }],
  ['a server for the data partition', /sshd is a server/, { 'usr/share/factory/var/bin/sshd': '\x7fELF' }],
  [
    'telnet',
    /starts telnetd/,
    {
      [`${own}/multi-user.target.wants/t.service`]: `-> /${units}/t.service`,
      [`${units}/t.service`]: service('ExecStart=/bin/busybox telnetd -F'),
    },
  ],
  ['a key of root', /names SSH keys/, { 'root/.ssh/authorized_keys': 'ssh-ed25519 AAAA\n' }],
  ['keys where the server looks', /names SSH keys/, { 'etc/ssh/authorized_keys/root': 'ssh-ed25519 AAAA\n' }],
  ['keys in another place', /names SSH keys/, { 'opt/x/authorized_keys': 'ssh-ed25519 AAAA\n' }],
  [
    'the factory key',
    /factory partition/,
    { 'etc/ssh/sshd_config.d/f.conf': 'AuthorizedKeysFile /factory/authorized_keys\n' },
  ],
  [
    'the factory key, copied by a program',
    /factory partition/,
    { 'usr/libexec/x': '#!/bin/sh\ncp /factory/authorized_keys /run/\n' },
  ],
  ['a credential', /credential/, { 'usr/lib/credstore/passwd.hashed-password.root': 'x' }],
  [
    'a generator',
    /makes units for logins/,
    { 'etc/systemd/system-generators/systemd-debug-generator': '\x7fELF' },
  ],
  [
    'a shell after a crash',
    /when systemd crashes/,
    { 'etc/systemd/system.conf.d/x.conf': '[Manager]\nCrashShell=yes\n' },
  ],
  ['the console', /starts mbl-console.service$/, {}, ['mbl-console.service']],
  ['a debug shell', /starts debug-shell.service$/, {}, ['debug-shell.service']],
  [
    'a debug shell that a link starts',
    /starts debug-shell.service$/,
    { [`${own}/basic.target.wants/debug-shell.service`]: '-> /usr/lib/systemd/system/debug-shell.service' },
  ],
  [
    'a debug shell under another name',
    /starts debug-shell.service$/,
    { [`${own}/basic.target.wants/x.service`]: '-> /usr/lib/systemd/system/debug-shell.service' },
  ],
  [
    'a debug shell by an alias',
    /starts debug-shell.service$/,
    { [`${own}/app.service`]: '-> /usr/lib/systemd/system/debug-shell.service' },
  ],
  [
    'a debug shell that a drop-in wants',
    /starts debug-shell.service$/,
    { [`${own}/multi-user.target.d/x.conf`]: '[Unit]\nWants=debug-shell.service\n' },
  ],
  [
    'a debug shell after a failure',
    /starts debug-shell.service$/,
    { [`${own}/app.service.d/x.conf`]: '[Unit]\nOnFailure=debug-shell.service\n' },
  ],
  [
    'a debug shell by systemctl',
    /starts debug-shell.service$/,
    { [`${own}/app.service.d/x.conf`]: service('ExecStartPost=systemctl start debug-shell.service') },
  ],
  [
    'a debug shell by a timer',
    /starts debug-shell.service$/,
    { [`${units}/debug-shell.timer`]: '[Timer]\nOnBootSec=1\n[Install]\nWantedBy=timers.target\n' },
    ['debug-shell.timer'],
  ],
  [
    'a debug shell by udev',
    /starts debug-shell.service$/,
    { 'etc/udev/rules.d/x.rules': 'SUBSYSTEM=="tty", ENV{SYSTEMD_WANTS}+="debug-shell.service"\n' },
  ],
  [
    'a debug shell by D-Bus',
    /starts debug-shell.service$/,
    { 'usr/share/dbus-1/system-services/x.service': '[D-BUS Service]\nSystemdService=debug-shell.service\n' },
  ],
  [
    'a getty that is not masked',
    /agetty; something starts serial-getty@.service/,
    {},
    ['serial-getty@ttyAMA0.service'],
  ],
  [
    'a mask undone',
    /agetty; something starts getty@.service/,
    {
      [`${own}/getty@.service`]: service('ExecStart=/sbin/agetty tty1'),
      [`${own}/getty.target.wants/getty@tty1.service`]: '-> ../getty@.service',
    },
  ],
  [
    'an emergency that asks',
    /starts emergency.service$/,
    { [`${own}/emergency.service`]: service('ExecStart=-/usr/lib/systemd/systemd-sulogin-shell emergency') },
  ],
  [
    'a mask undone by a drop-in',
    /starts \/sbin\/agetty/,
    { [`${own}/app.service.d/x.conf`]: service('ExecStart=', 'ExecStart=+/sbin/agetty \\', '  ttyAMA0') },
  ],
  [
    'a drop-in of all services',
    /starts \/sbin\/agetty/,
    { [`${own}/service.d/x.conf`]: service('ExecStartPre=/sbin/agetty ttyAMA0') },
  ],
  [
    'a getty in a script',
    /\/usr\/libexec\/x, which starts \/sbin\/agetty/,
    {
      'usr/libexec/x': '#!/bin/sh\nexec /sbin/agetty ttyAMA0\n',
      [`${own}/app.service.d/x.conf`]: service('ExecStartPre=/usr/libexec/x'),
    },
  ],
  [
    'login without a getty',
    /starts \/bin\/login/,
    { [`${own}/app.service.d/x.conf`]: service('ExecStartPre=/bin/login -f root') },
  ],
  [
    'a shell on a line',
    /shell on a terminal/,
    {
      [`${own}/sensor.service.d/x.conf`]: service(
        "ExecStartPre=/bin/sh -c 'sh -i </dev/ttyAMA0 >/dev/ttyAMA0 &'",
      ),
    },
  ],
  [
    'a shell on a line in a script',
    /shell on a terminal/,
    {
      'usr/libexec/x': '#!/bin/sh\nwhile :; do sh -i </dev/console; done\n',
      [`${own}/sensor.service.d/x.conf`]: service('ExecStartPre=/usr/libexec/x'),
    },
  ],
  [
    'a shell for whoever connects',
    /input from others/,
    { [`${own}/answer@.service.d/x.conf`]: service('ExecStart=', 'ExecStart=-/bin/sh -i') },
  ],
  [
    'a prompt of Node',
    /input from a terminal/,
    { [`${own}/sensor.service`]: service('ExecStart=/usr/bin/node -i', 'StandardInput=tty') },
  ],
  [
    'a script on a terminal that starts a shell',
    /input from a terminal/,
    {
      'usr/libexec/x': '#!/bin/sh\nread x; exec "$SHELL" /bin/sh\n',
      [`${own}/sensor.service`]: service('ExecStart=/usr/libexec/x', 'StandardInput=tty'),
    },
  ],
  [
    'a folder of links that is a link',
    /starts debug-shell.service$/,
    {
      [`${own}/basic.target.wants`]: '-> ../../../opt/x',
      'opt/x/debug-shell.service': '-> /usr/lib/systemd/system/debug-shell.service',
    },
  ],
  [
    'a folder of drop-ins that is a link',
    /starts \/sbin\/agetty/,
    { [`${own}/app.service.d`]: '-> /opt/x', 'opt/x/x.conf': service('ExecStartPre=/sbin/agetty ttyAMA0') },
  ],
  [
    'a debug shell by a generator',
    /starts debug-shell.service$/,
    {
      'etc/systemd/system-generators/acme':
        '#!/bin/sh\nln -s /usr/lib/systemd/system/debug-shell.service "$1/basic.target.wants/"\n',
    },
  ],
  [
    'a debug shell by a script',
    /starts debug-shell.service$/,
    { 'usr/libexec/x': '#!/bin/sh\nsystemctl start debug-shell.service\n' },
  ],
  ['an account of userdb', /account with credentials/, { 'etc/userdb/ann.user-privileged': '{}' }],
  [
    'a shell on a port',
    /a shell for whoever connects/,
    { [`${own}/sensor.service`]: service('ExecStart=/usr/bin/socat TCP-LISTEN:23,fork EXEC:/bin/bash,pty') },
  ],
  [
    'a shell on a port by a script',
    /a shell for whoever connects/,
    {
      'usr/libexec/x': '#!/bin/sh\nnc -lp 23 -e /bin/sh\n',
      [`${own}/sensor.service`]: service('ExecStart=/usr/libexec/x'),
    },
  ],
  [
    'a debugger',
    /with a debugger/,
    { [`${own}/sensor.service`]: service('ExecStart=/usr/bin/node --inspect=0.0.0.0:9229 /opt/x.mjs') },
  ],
];

for (const [name, expected, files, enable] of ways) {
  test(`finds ${name}`, () => {
    const all = found(files, enable);
    assert.ok(
      all.some((line) => expected.test(line)),
      all.join('\n'),
    );
  });
}

test('says who brings it, and each thing once', () => {
  const tree = treeOf({});
  tree.file('usr/sbin/sshd', '\x7fELF', 'package openssh-server', 0o755);
  assert.deepEqual(waysIn(tree), [
    { path: '/usr/sbin/sshd', from: 'package openssh-server', what: 'is a server of remote logins' },
  ]);
});

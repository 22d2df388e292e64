// SPDX-License-Identifier: Apache-2.0
import type { Tree } from './tree.ts';
import { startedUnits } from './started-units.ts';
import { readUnits, type Unit } from './unit-files.ts';

/** Something in a root file system that lets a person in. */
export interface WayIn {
  /** Absolute path on the device, with the line where there is one. */
  readonly path: string;
  /** Who brings it: "package openssh-server", "os/rootfs/development". */
  readonly from: string;
  /** "is a server of remote logins". */
  readonly what: string;
}

/** Programs that ask who is there, and then give a shell: on a terminal, or to whoever starts them. */
const logins = [
  ...['agetty', 'getty', 'mgetty', 'mingetty', 'fgetty', 'ngetty', 'openvt', 'kmscon'],
  ...['login', 'sulogin', 'systemd-sulogin-shell'],
];
/** Programs that do the same for the network. */
const servers = [
  ...['sshd', 'sshd-session', 'dropbear', 'dropbearmulti', 'tinysshd', 'lshd', 'telnetd', 'utelnetd'],
  ...['in.telnetd', 'in.rlogind', 'in.rshd', 'in.rexecd', 'rlogind', 'rshd', 'rexecd'],
  ...['mosh-server', 'ttyd', 'gotty', 'shellinaboxd', 'cockpit-ws', 'xrdp', 'gdbserver'],
];
/** Programs that hand a connection to another program. */
const connectors = /^(?:nc|ncat|netcat|socat|websocketd|tcpserver|tcpsvd|inetd|xinetd)$/;
/** Programs that do what a person types, whatever their arguments; and those that do without a script as argument. */
const shells = /^(?:(?:ba|da|a|k|mk|z|c|tc|fi|rba)?sh|su|sudo|runuser|tmux|screen)$/;
const interpreters = /^(?:busybox|toybox|node|python[\d.]*|perl|lua[\d.]*|expect|gdb)$/;

/**
 * Finds what makes an image one for development: an account without a locked password, a server of remote logins, SSH keys, and units
 * that open a console. It sees what an image is made of; a program that lets people in by its own means is that program's affair.
 */
export function waysIn(tree: Tree): WayIn[] {
  const found = [...accounts(tree), ...files(tree), ...consoles(tree)];
  return [...new Map(found.map((way) => [`${way.path} ${way.what}`, way])).values()];
}

/** passwd(5), shadow(5): only "*" and "!" are no password; the empty one lets in whoever asks. */
function* accounts(tree: Tree): Iterable<WayIn> {
  for (const path of ['etc/passwd', 'etc/shadow']) {
    const entry = tree.resolve(path);
    if (entry?.type !== 'file') continue;
    for (const [index, line] of entry.data.toString().split('\n').entries()) {
      const [name = '', password = ''] = line.split(':');
      if (name === '' || /^[*!]/.test(password) || (path === 'etc/passwd' && password === 'x')) continue;
      const what = `lets "${name}" in with ${password === '' ? 'no password' : 'a password'}`;
      yield { path: `/${path}:${index + 1}`, from: entry.from, what };
    }
  }
}

function* files(tree: Tree): Iterable<WayIn> {
  for (const entry of tree.entries()) {
    const { path, type, mode, from } = entry;
    if (type === 'directory') continue;
    const what = (text: string): WayIn => ({ path: `/${path}`, from, what: text });
    const name = path.slice(path.lastIndexOf('/') + 1);
    if ((mode & 0o111) !== 0 && servers.includes(name)) yield what('is a server of remote logins');
    // Only their makers know what generators do; these make shells of what the command line or the hypervisor says.
    if (/\/system-generators\/systemd-(?:debug|getty|run|ssh)-generator$/.test(path))
      yield what('makes units for logins');
    if (/^(?:etc|usr\/(?:local\/)?lib)\/userdb\/.*\.user(?:-privileged)?$/.test(path))
      yield what('is an account with credentials of its own');
    if (isKeyFile(path)) yield what('names SSH keys that open the device');
    if (/(?:^|\/)credstore(?:\.encrypted)?\/(?:passwd|shell|ssh|getty|login|systemd)\./.test(path))
      yield what('is a credential for logins');
    if (type !== 'file') continue;
    if (entry.data.includes('/factory/authorized_keys'))
      yield what('takes the SSH key of the factory partition');
    if (/systemd\/system\.conf(?:\.d\/.*\.conf)?$/.test(path) && crashShell.test(entry.data.toString()))
      yield what('opens a shell when systemd crashes');
  }
}

const crashShell = /^\s*CrashShell\s*=\s*(?:1|y|yes|t|true|on)\s*$/im;

function isKeyFile(path: string): boolean {
  return (
    /(?:^|\/)authorized_keys2?$/.test(path) ||
    /^etc\/(?:ssh|dropbear)\/(?:.*\/)?authorized_(?:keys|principals)/.test(path)
  );
}

function* consoles(tree: Tree): Iterable<WayIn> {
  for (const unit of startedUnits(tree, readUnits(tree))) {
    const what = opens(tree, unit);
    if (what === undefined) continue;
    const { file, name } = unit;
    yield { path: `/${file.path}`, from: file.from, what: `${what}; something starts ${name}` };
  }
}

/** What a unit would open, or undefined when it opens nothing. */
function opens(tree: Tree, { settings }: Unit): string | undefined {
  const input = settings.filter(({ key }) => key === 'StandardInput').map(({ value }) => value);
  const terminal = input.some((value) => value.startsWith('tty'));
  const stream = input.some((value) => /^(?:socket|file:\/dev\/)/.test(value));
  for (const { key, value } of settings) {
    if (!/^Exec[A-Z]/.test(key)) continue;
    const [program = '', ...words] = wordsOf(value.replace(/^[-@:+!|]+/, ''));
    const login = [program, ...words].find(startsLogin);
    if (login !== undefined) return `starts ${login}`;
    const script = scriptOf(tree, program);
    const scriptWords = wordsOf(script);
    const inside = scriptWords.find(startsLogin);
    const given = [...words, ...scriptWords];
    if ([program, ...given].some((word) => connectors.test(baseName(word))) && given.some(isShell))
      return `starts ${program}, a shell for whoever connects`;
    if (given.some((word) => /^--inspect(?:-brk|-wait)?$/.test(word)))
      return `starts ${program} with a debugger`;
    if (inside !== undefined) return `starts ${program}, which starts ${inside}`;
    const bare = words.every((word) => word.startsWith('-'));
    const obeys = isShell(program) || (interpreters.test(baseName(program)) && bare);
    if (terminal && (obeys || given.some(isShell))) return `starts ${program} with its input from a terminal`;
    // A script that answers on a socket is a service like others; a shell alone does what it reads.
    if (stream && obeys && bare && !words.some((word) => /^-[a-z]*c$/.test(word)))
      return `starts ${program} with its input from others`;
    if ([value, script].some((text) => shellOnTerminal.test(text)))
      return `starts ${program}, a shell on a terminal`;
  }
  return undefined;
}

/** "login" is a word like others, unless it is a path. */
function startsLogin(word: string): boolean {
  const name = baseName(word);
  return name === 'login' ? /\/s?bin\/login$/.test(word) : logins.includes(name) || servers.includes(name);
}

function isShell(word: string): boolean {
  return shells.test(baseName(word));
}

/** `sh </dev/ttyS0`, `bash -i 0<>/dev/console`. */
const shellOnTerminal = /\b(?:ba|da|a|z)?sh\b(?:\s+-[a-z]+)*\s+\d?<>?\s*\/dev\/(?:console|tty|hvc)/;

function wordsOf(text: string): string[] {
  return text.split(/[\s"'`;&|(){}<>=:,]+/).filter(Boolean);
}

function baseName(word: string): string {
  return word.slice(word.lastIndexOf('/') + 1);
}

/** The text of a program that is a script of the tree, without its comments; empty for any other. */
function scriptOf(tree: Tree, program: string): string {
  const entry = program.startsWith('/') ? tree.resolve(program) : undefined;
  if (entry?.type !== 'file' || entry.data.subarray(0, 2).toString() !== '#!') return '';
  return entry.data.toString().replaceAll(/^[ \t]*#.*$/gm, '');
}

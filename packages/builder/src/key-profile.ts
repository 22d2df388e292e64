// SPDX-License-Identifier: Apache-2.0
import { MblError } from '@mbl/trust';
import { uBootWaysIn } from './firmware/u-boot-console.ts';
import type { Image } from './recipes/image.ts';
import type { Machine } from './recipes/machine.ts';
import type { Task } from './task.ts';

/** The task that finds no login in what production keys are to sign. */
export const loginCheck = 'login-check';

/** Tasks that use a private key. */
const signing: readonly string[] = ['flash', 'trusted-applications', 'fit'];

/** The same tasks, where those that sign wait for `check`: first, so that it does not stand behind minutes of compiling. */
export function signAfter(check: Task, tasks: readonly Task[]): Task[] {
  return [
    check,
    ...tasks.map((task) =>
      signing.includes(task.name) ? { ...task, needs: [check.name, ...(task.needs ?? [])] } : task,
    ),
  ];
}

/** Arguments with which the kernel or systemd gives a shell, or takes a password or a unit from the command line. */
const opening = [
  /^(?:rd)?init=/,
  /^(?:rd\.)?systemd\.(?:debug_shell|crash_shell|set_credential|set_credential_binary|setenv|unit|wants|run)(?:[=_].*)?$/,
  /^(?:single|s|S|[1-5]|rescue|emergency|-b|-s)$/,
  /^kgdb(?:oc|dbgp|wait|con)/,
];

/**
 * Refuses, for production keys, what the recipes themselves say: a login, kernel arguments that open one, a U-Boot with a prompt. Quick:
 * nothing is fetched. What the root contains is the business of the task. Throws `builder/login-refused`.
 */
export async function refuseDeclaredLogin(machine: Machine, image: Image): Promise<void> {
  const { console: terminal, ssh } = image.login;
  const words = [...machine.kernel.arguments, ...image.kernelArguments];
  const reasons = [
    ...(terminal === 'none' ? [] : [`image ${image.name} says login: { console: ${terminal} }`]),
    ...(ssh === 'none' ? [] : [`image ${image.name} says login: { ssh: ${ssh} }`]),
    ...words.filter(opensShell).map((word) => `the kernel argument ${word} opens the device`),
    ...(await uBootWaysIn(machine.firmware.uBoot.config)),
  ];
  if (reasons.length > 0) throw loginRefused(reasons);
}

/** "-" and "_" are the same in the name of an argument; a backslash or a quote would make it another word in the device tree. */
function opensShell(word: string): boolean {
  const [name = '', ...value] = word.split('=');
  const plain = [name.replaceAll(/(?!^)-/g, '_'), ...value].join('=');
  return /["\\]/.test(word) || opening.some((pattern) => pattern.test(plain));
}

/** The error for production keys and an image that lets somebody in. */
export function loginRefused(reasons: readonly string[]): MblError {
  const list = reasons.map((reason) => `\n  ${reason}`).join('');
  return new MblError(
    'builder/login-refused',
    `these are production keys, and they sign no image that lets somebody in:${list}`,
    {
      remedy:
        'Take it out of the image. For a board at the desk make development keys, and build with them: ./mbl keys init --keys FOLDER',
      details: { reasons: [...reasons] },
    },
  );
}

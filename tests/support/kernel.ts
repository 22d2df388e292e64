// SPDX-License-Identifier: Apache-2.0
//
// Root on a running board tries to put code into the kernel.
import assert from 'node:assert/strict';

type Shell = (command: string) => Promise<{ code: number; stdout: string; stderr: string }>;

/** A module that the board has and that is not loaded: one of the kernel's own, signed by Debian's build. */
const module = '/usr/lib/modules/*/kernel/veth.ko';

/** Asserts that the kernel takes no module that Debian did not sign, nothing through the memory device and no other kernel. */
export async function attackKernel(shell: Shell): Promise<void> {
  const ok = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await shell(command);
    assert.equal(code, 0, `${command}: ${stderr}`);
    return stdout;
  };
  const refused = async (command: string, reason: RegExp): Promise<void> => {
    const { code, stderr } = await shell(command);
    assert.notEqual(code, 0, command);
    assert.match(stderr, reason, command);
  };
  assert.match(await ok('cat /sys/kernel/security/lockdown'), /\[integrity\]/);
  // A signed one loads: what is refused below is refused for its signature.
  const name = 'veth';
  await ok(
    `rmmod ${name} 2>/dev/null; modprobe ${name} && grep -q '^${name} ' /proc/modules && rmmod ${name}`,
  );
  await ok(`cp ${module} /run/plain.ko`);
  const magic = '~Module signature appended~';
  await ok(`grep -q '${magic}' /run/plain.ko`);
  const strip = `const fs = require('node:fs'); const all = fs.readFileSync('/run/plain.ko');
    const end = all.lastIndexOf('${magic}'); const trailer = all.subarray(end - 12, end);
    fs.writeFileSync('/run/unsigned.ko', all.subarray(0, end - 12 - trailer.readUInt32BE(8)));
    const text = all.indexOf('license='); all[text + 8] ^= 1; fs.writeFileSync('/run/changed.ko', all);`;
  await ok(`node -e "${strip}"`);
  await refused('insmod /run/unsigned.ko', /Key was rejected|Operation not permitted|Required key/);
  await refused('insmod /run/changed.ko', /Key was rejected|Bad message|Operation not permitted/);
  await refused('dd if=/dev/mem of=/dev/null bs=4096 count=1 skip=262144', /Operation not permitted|No such/);
  await refused('echo 0 >/proc/sys/kernel/kexec_load_disabled', /Invalid argument|not permitted/);
  assert.equal((await ok('cat /proc/sys/kernel/kexec_load_disabled')).trim(), '1');
}

// SPDX-License-Identifier: Apache-2.0
//
// What mbl-native does for apps (os/native/app.h, quota.h), on a board.
import assert from 'node:assert/strict';
import type { Board } from '@mbl/lab';
import type { AppImageFile } from './app-image.ts';

const helper = '/usr/lib/mbl/mbl-native';
const folder = '/run/app-root';
/** How it ends: os/native/system.h. */
const [done, failed, misused, absent, different, unmeasured, busy] = [0, 1, 2, 4, 5, 6, 7];

/** A file that fs-verity holds still, as it has to be: of a file without, with another digest, or in somebody's hands nothing is mounted. */
export async function measuresAndMounts(board: Board, { path, digest }: AppImageFile): Promise<void> {
  const ends = async (command: string): Promise<number | undefined> => (await board.ssh(command)).code;
  const says = async (command: string): Promise<string> => (await board.ssh(command)).stdout.trim();
  const mount = `${helper} app mount ${path}`;
  assert.equal(await ends(`mkdir -p ${folder}`), 0);
  assert.equal(await ends(`${mount} ${digest} ${folder}`), unmeasured);
  assert.equal(await ends(`exec 3>>${path}; ${helper} verity enable ${path}`), busy);
  assert.equal(await ends(`${helper} verity enable ${path}`), done);
  assert.equal(await ends(`${helper} verity enable ${path}`), done, 'once more');
  assert.equal(await says(`${helper} verity measure ${path}`), digest);
  assert.notEqual(await ends(`echo x >>${path}`), 0, 'nobody changes it any more');
  const other = `${digest.slice(0, -1)}${digest.endsWith('0') ? '1' : '0'}`;
  for (const wrong of [other, digest.slice(1), `${digest}0`, digest.toUpperCase().replace(/\d/g, 'A')])
    assert.equal(await ends(`${mount} ${wrong} ${folder}`), different, wrong);
  assert.equal(
    await ends(`ln -s ${path} /run/link; ${helper} app mount /run/link ${digest} ${folder}`),
    failed,
  );
  for (const ids of ['0 1', '1000 1', '200000 0', '4294967294 1', '200000 4294767295', '200000', 'x 1'])
    assert.equal(await ends(`${mount} ${digest} ${folder} ${ids}`), misused, ids);
  for (const more of ['then', '200000 1 then', 'after /bin/true', '200000 1 2 then /bin/true'])
    assert.equal(await ends(`${mount} ${digest} ${folder} ${more}`), misused, more);
  assert.equal(
    await ends(`${mount} ${other} ${folder} then /bin/touch /run/ran; test -e /run/ran`),
    1,
    'nothing is run on another image',
  );
  assert.equal(await ends(`mountpoint -q ${folder}`), 32, 'nothing of all that was mounted');

  assert.equal(await ends(`${mount} ${digest} ${folder}`), done);
  assert.equal(await says(`stat -c '%u %a' ${folder}/secret`), '0 600');
  assert.equal(await ends(`${mount} ${digest} ${folder} 200005 1`), done);
  assert.equal(await says(`stat -c '%u %g %a' ${folder}/secret`), '200005 200005 600');
  assert.equal(
    await says(`grep -c ' ${folder} ' /proc/self/mountinfo`),
    '1',
    'in the place of the one before',
  );
  const then = `${mount} ${digest} ${folder} 200005 1 then`;
  assert.equal(
    await says(`WORD=here ${then} /bin/sh -c 'echo $WORD $1 $(stat -c %u ${folder}/secret)' sh next`),
    'here next 200005',
  );
  assert.equal(await ends(`${then} /bin/none`), failed);
  assert.match(await says(`findmnt -n -o OPTIONS --mountpoint ${folder} | tail -1`), /^ro,nosuid,nodev,/);
  const as = (id: number): string =>
    `setpriv --reuid ${id} --regid ${id} --clear-groups cat ${folder}/secret`;
  assert.equal(await says(as(200005)), 'secret');
  assert.notEqual(await ends(as(200006)), 0, 'another app reads it not');
  assert.equal(await ends(`${helper} app unmount ${folder}`), done);
  assert.equal(await ends(`mountpoint -q ${folder}`), 32);
  assert.equal(await ends(`${helper} app unmount ${folder}`), done, 'once more');
}

/** A folder holds as many bytes and files as it may, and a file system without quotas is told apart. */
export async function boundsFolders(board: Board): Promise<void> {
  const volume = '/data/apps/volumes/test';
  const as = 'setpriv --reuid 200005 --regid 200005 --clear-groups';
  const steps = [
    `mkdir ${volume} && ${helper} quota set ${volume} 1005 102400 4 && chown 200005:200005 ${volume}`,
    `${as} dd if=/dev/zero of=${volume}/a bs=1024 count=90 status=none`,
    `! ${as} dd if=/dev/zero of=${volume}/b bs=1024 count=90 status=none`,
    `rm ${volume}/*`,
    `${as} touch ${volume}/a ${volume}/b ${volume}/c`,
    `! ${as} touch ${volume}/d`,
    // Of what it holds nothing is of another project, and more is given in place.
    `${helper} quota set ${volume} 1005 102400 5`,
    `${as} touch ${volume}/d`,
    // What leaves counts no more.
    `${as} dd if=/dev/zero of=${volume}/a bs=1024 count=90 status=none && ${helper} quota leave ${volume}/a`,
    `${as} dd if=/dev/zero of=${volume}/b bs=1024 count=90 status=none`,
    `rm -r ${volume}`,
  ];
  for (const step of steps) assert.equal((await board.ssh(step)).code, 0, step);
  const ends = async (set: string): Promise<number | undefined> =>
    (await board.ssh(`${helper} quota set ${set}`)).code;
  // What is fetched has half of the file system, from the first start on.
  const { stdout } = await board.ssh('stat -f -c %b /data/apps/incoming /data');
  const [half = 0, whole = 0] = stdout.split('\n').map(Number);
  assert.ok(half > 0 && Math.abs(2 * half - whole) <= 2, stdout);
  assert.equal(await ends('/run 1005 4096 4'), absent);
  for (const wrong of ['/data/apps/volumes 0 1 1', '/data/apps/volumes 1 0 1', '/data/apps/volumes 1 1'])
    assert.equal(await ends(wrong), misused, wrong);
}

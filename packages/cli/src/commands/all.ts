// SPDX-License-Identifier: Apache-2.0
//
// Every verb, in the order of the help.
import { type Entry, group } from '../verb.ts';
import { buildApp } from './app/build.ts';
import { restartApp, rollBackApps, startApp, stopApp } from './app/control.ts';
import { deployApps } from './app/deploy.ts';
import { developApp } from './app/dev.ts';
import { diffApps } from './app/diff.ts';
import { inspectApp } from './app/inspect.ts';
import { listApps } from './app/list.ts';
import { logsOfApp } from './app/logs.ts';
import { newApp } from './app/new.ts';
import { pushApp } from './app/push.ts';
import { removeApps } from './app/remove.ts';
import { runInApp } from './app/run.ts';
import { listBoards } from './board/list.ts';
import { removeBoard } from './board/remove.ts';
import { resetBoard } from './board/reset.ts';
import { build } from './build.ts';
import { pruneCache } from './cache/prune.ts';
import { complete, completion } from './completion.ts';
import { deleteDevice } from './device/delete.ts';
import { enrolDevice } from './device/enrol.ts';
import { executeResource } from './device/execute.ts';
import { listDevices } from './device/list.ts';
import { listEvents } from './device/events.ts';
import { readResource } from './device/read.ts';
import { rebootDevice } from './device/reboot.ts';
import { revokeDevice } from './device/revoke.ts';
import { showDevice } from './device/show.ts';
import { resumeDevice, suspendDevice } from './device/suspend.ts';
import { updateDevice } from './device/update.ts';
import { watchResource } from './device/watch.ts';
import { writeResource } from './device/write.ts';
import { doctor } from './doctor.ts';
import { down } from './down.ts';
import { configureFactory } from './factory/configure.ts';
import { writeFactory } from './factory/write.ts';
import { compareImages } from './image/compare.ts';
import { createGroup } from './group/create.ts';
import { deleteGroup } from './group/delete.ts';
import { listGroups } from './group/list.ts';
import { addToGroup, removeFromGroup } from './group/members.ts';
import { showGroup } from './group/show.ts';
import { initialiseKeys } from './keys/init.ts';
import { showKeys } from './keys/show.ts';
import { logs } from './logs.ts';
import { createRelease } from './release/create.ts';
import { diffReleases } from './release/diff.ts';
import { publishRelease } from './release/publish.ts';
import { exportRelease } from './release/export.ts';
import { packageRelease } from './release/package.ts';
import { changeRole } from './release/role.ts';
import { showReleases } from './release/show.ts';
import { signRelease } from './release/sign.ts';
import { verifyRelease } from './release/verify.ts';
import { run } from './run.ts';
import { shell } from './shell.ts';
import { status } from './status.ts';
import { test } from './test.ts';
import { up } from './up.ts';

export const commands: Readonly<Record<string, readonly Entry[]>> = {
  Workbench: [
    up,
    down,
    status,
    doctor,
    test,
    group('cache', 'what builds keep for the next ones', [pruneCache]),
    completion,
    complete,
  ],
  Image: [
    group('keys', 'make or show the keys that sign the image', [initialiseKeys, showKeys]),
    build,
    group('image', 'what builds made', [compareImages]),
    group('release', 'what devices may install: make it, sign it, check it', [
      createRelease,
      signRelease,
      publishRelease,
      verifyRelease,
      showReleases,
      diffReleases,
      exportRelease,
      packageRelease,
      changeRole,
    ]),
  ],
  Apps: [
    group('app', 'apps: from an image to what runs on devices', [
      newApp,
      buildApp,
      inspectApp,
      diffApps,
      pushApp,
      developApp,
      deployApps,
      listApps,
      logsOfApp,
      startApp,
      stopApp,
      restartApp,
      runInApp,
      rollBackApps,
      removeApps,
    ]),
  ],
  Board: [
    run,
    shell,
    logs,
    group('board', 'the virtual boards of this workspace', [listBoards, removeBoard, resetBoard]),
  ],
  Factory: [
    group('factory', "what a product's line writes onto the disk of a device", [
      configureFactory,
      writeFactory,
    ]),
  ],
  Devices: [
    group('device', 'the directory of devices, and what they hold', [
      listDevices,
      showDevice,
      readResource,
      writeResource,
      executeResource,
      updateDevice,
      watchResource,
      rebootDevice,
      listEvents,
      enrolDevice,
      suspendDevice,
      resumeDevice,
      revokeDevice,
      deleteDevice,
    ]),
    group('group', 'groups of devices, which are sent to a release together', [
      createGroup,
      listGroups,
      showGroup,
      addToGroup,
      removeFromGroup,
      deleteGroup,
    ]),
  ],
};

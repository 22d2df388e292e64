// SPDX-License-Identifier: Apache-2.0
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { readText, type Slot, type UpdateReason, updateReasons } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { FirmwareBanks } from '../firmware/banks.ts';
import {
  endFirmwareTrial,
  firmwareAccepted,
  firmwareComponent,
  makeRoom,
  needsFirmware,
  putFirmware,
} from '../firmware/release.ts';
import { changeBootState, onTrial, otherSlot, readBootState, rejected } from '../slots/boot-state.ts';
import { digestOf } from '../slots/contents.ts';
import { otherThanJudged, runningRootHash } from '../slots/running-root.ts';
import { type KnownFirmware, type Outcome, type TrialFirmware, TrialStore } from '../slots/trial.ts';
import { parseBoot } from './board.ts';
import { loadImage } from '../common/image.ts';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { reasonOf } from '../common/update-reason.ts';
import { placeRelease, type ReleaseVerifier } from './release.ts';
import { document, list, oneOf, type Shape, type ShapeOf, struct, text, uint64 } from './shapes.ts';

/** A file of the release's metadata, by its name in the repository. */
export const metadataFile = struct({ name: text, content: document });

/** A code, or '' where nothing is wrong. */
const reason = oneOf('', ...(Object.keys(updateReasons) as UpdateReason[]));

/** A file of the repository that a component is made from (`@mbl/blocks`): its path there, and what the release signs of it. */
const payloadFile = struct({ file: text, size: uint64, indexSize: uint64, indexSha256: text });

/** A copy map from the slot that runs, and the stream of all of it; '' and 0 where the repository has none. */
const plainFile = struct({ file: text, size: uint64 });

/**
 * What goes where: from the payload `dataSize` bytes whose hash tree has this root hash and salt, to the start of `device`, the tree behind them. `running` is
 * the partition of the slot that runs. The first `size` bytes are the component then, with that digest. Digests are 64 hex digits, the salt is hex.
 */
const component = struct({
  name: text,
  device: text,
  running: text,
  size: uint64,
  sha256: text,
  dataSize: uint64,
  rootHash: text,
  salt: text,
  payload: payloadFile,
  map: plainFile,
  stream: plainFile,
});

/**
 * `missing`: a file of the metadata without which nothing can be said yet. `refused`: why this board does not take the release, whatever
 * else comes; `reason` is the code of it. Where both are '', `components` says what to install.
 */
export function planOf<Reason extends string>(why: Shape<Reason>) {
  return struct({ missing: text, refused: text, reason: why, name: text, components: list(component) });
}

const plan = planOf(reason);

/**
 * `waits`: installed, and to be started at the next restart; `trying`: started, and not proved good yet; `fell-back`: the slot that ran
 * before runs again, `reason` and `detail` say why.
 */
const update = struct({
  state: oneOf('none', 'waits', 'trying', 'confirmed', 'fell-back'),
  release: text,
  reason,
  detail: text,
});

export type MetadataFile = ShapeOf<typeof metadataFile>;
export type InstallPlan = ShapeOf<typeof plan>;
export type InstallComponent = ShapeOf<typeof component>;
export type UpdateState = ShapeOf<typeof update>;

export const readingMs = 10 * 60_000;

export const updateMethods = {
  GetUpdate: method({}, update),
  /** Judges the metadata of a release and says what to write to the idle slot. */
  CheckRelease: method({ release: text, metadata: list(metadataFile) }, plan, { deadlineMs: 60_000 }),
  /** Reads the idle slot. '' where it holds what the release that was checked last says, else what is wrong. */
  VerifySlot: method({}, text, { deadlineMs: readingMs }),
  /** The idle slot starts at the next restart, on trial. */
  StartTrial: method({}, undefined, { deadlineMs: readingMs }),
};

/** Installs what signed metadata names, and nothing else: whoever writes the idle slot decides nothing. */
export function installUpdates(
  { root, bootFile, panicFile, orderFile, disk, update: folder, imageFile }: SystemOptions,
  verifier: Pick<ReleaseVerifier, 'verify'>,
  banks: FirmwareBanks,
): Implementation<typeof updateMethods> {
  const store = new TrialStore(folder);
  const state = join(disk, 'state');
  let checked: Checked | undefined;
  /** The rollback index of a version that proved good, also where the disk is too full to keep it. */
  let provedIndex = 0;

  /** The slot that does not run. */
  async function idleSlot(): Promise<Slot> {
    const { slot } = parseBoot((await readText(bootFile, 4096)) ?? '');
    if (slot !== 'a' && slot !== 'b')
      throw new MblError('device/no-slot', 'nobody knows which slot the board runs');
    const idle = otherSlot(slot);
    // The initramfs leaves a slot writable only when kernel and root come from the other one.
    await access(join(disk, `root_${idle}`), constants.R_OK | constants.W_OK).catch((cause: unknown) => {
      throw new MblError(
        'device/no-idle-slot',
        'the board needs both slots: its kernel is of one, its root of the other',
        { cause },
      );
    });
    await keepFallback(slot);
    return idle;
  }

  /** The idle slot is what the board goes back to until the running one proved good; and what waits in it is not to start half-written. */
  async function keepFallback(running: Slot): Promise<void> {
    const boot = await readBootState(state);
    if (boot.tried !== running || boot.attempts[running] > 0)
      throw new MblError('device/not-proved', `slot ${running}, which runs, has not proved good yet`, {
        remedy: 'Try again in some minutes.',
      });
    if (boot.first === running) return;
    await changeBootState(state, (held) => rejected(held, otherSlot(running)));
    const trial = await store.trial();
    if (trial?.firmware !== undefined) await endFirmwareTrial(banks);
    if (trial !== undefined)
      await store.endTrial({
        release: trial.release,
        result: 'fell-back',
        reason: 'update/replaced',
        detail: 'another release took its place',
      });
  }

  /** Calls that decide, one after the other: none sees what another one is changing. */
  let turn: Promise<unknown> = Promise.resolve();
  function oneAtATime<T>(call: () => Promise<T>): Promise<T> {
    const done = turn.then(call);
    turn = done.catch(() => undefined);
    return done;
  }

  /** How the last update stands, from what the boot state says of its slot; what has ended is written down. */
  async function settle(): Promise<UpdateState> {
    const trial = await store.trial();
    if (trial === undefined) return shown(await store.outcome());
    const { slot, release, firmware } = trial;
    const { slot: running } = parseBoot((await readText(bootFile, 4096)) ?? '');
    const { first, tried, attempts } = await readBootState(state);
    if (running === slot && tried === slot) {
      if (first !== slot || attempts[slot] > 0) return { state: 'trying', release, reason: '', detail: '' };
      const other = await otherThanJudged(trial, root);
      if (other !== undefined)
        return await ended({ release, result: 'fell-back', reason: 'update/slot-mismatch', detail: other });
      // The last step of a good start; until then both can go back.
      if (firmware !== undefined && !(await firmwareAccepted(banks, firmware).catch(() => false)))
        return { state: 'trying', release, reason: '', detail: '' };
      provedIndex = Math.max(provedIndex, trial.rollbackIndex);
      const outcome: Outcome = { release, result: 'confirmed', reason: '', detail: '' };
      // Until the index is kept the trial is: whoever settles it next keeps both.
      const kept = await store.accept(trial.rollbackIndex).then(
        () => true,
        () => false,
      );
      return kept ? await ended(outcome) : shown(outcome);
    }
    if (first === slot && attempts[slot] === 0) return { state: 'waits', release, reason: '', detail: '' };
    const outcome: Outcome = { release, result: 'fell-back', ...(await whyBack(attempts[slot])) };
    // Until the slot that runs proved good the boot loader may start the other one again: it is on trial then as before.
    if (first === slot || !(await firmwareGoesBack(firmware))) return shown(outcome);
    return await ended(outcome);
  }

  /** False: not yet. As long as it may be on trial, mbl-good-boot has to know of the trial. */
  async function firmwareGoesBack(firmware: TrialFirmware | undefined): Promise<boolean> {
    if (firmware === undefined) return true;
    return await endFirmwareTrial(banks).then(
      () => true,
      () => false,
    );
  }

  async function whyBack(starts: number): Promise<Pick<Outcome, 'reason' | 'detail'>> {
    const unhealthy = await store.failure();
    if (unhealthy !== undefined) return { reason: 'update/unhealthy', detail: unhealthy };
    if (starts === 0) return { reason: 'update/not-started', detail: 'it was never started' };
    const panic = ((await readText(panicFile, 4096).catch(() => undefined)) ?? '').trim().slice(0, 120);
    const why = panic === '' ? '' : `: ${panic}`;
    return { reason: 'update/did-not-come-up', detail: `it did not come up in ${starts} starts${why}` };
  }

  /** What cannot be written down is written down the next time. */
  async function ended(outcome: Outcome): Promise<UpdateState> {
    await store.endTrial(outcome).catch(() => undefined);
    return shown(outcome);
  }

  function current(): NonNullable<typeof checked> {
    if (checked !== undefined) return checked;
    throw new MblError('device/no-release', 'no release was checked since the platform service started');
  }

  async function faultOfSlot(install: Checked): Promise<string | undefined> {
    for (const { name, device, size, sha256 } of install.components)
      if ((await digestOf(device, size)) !== sha256)
        return `slot ${install.slot} does not hold the ${name} of ${install.name}`;
    return undefined;
  }

  return {
    getUpdate: () => oneAtATime(settle),

    checkRelease: ({ release, metadata }) =>
      oneAtATime(async () => {
        // A version that proved good counts from here on, whether or not anybody has asked for it.
        await settle();
        const files = new Map(metadata.map(({ name, content }) => [name, content]));
        checked = undefined;
        const nothing = { missing: '', refused: '', reason: '' as const, name: release, components: [] };
        try {
          const slot = await idleSlot();
          const image = await loadImage(imageFile);
          const { machine, keys } = image;
          const rollbackIndex = Math.max(provedIndex, await store.acceptedIndex());
          const board = { machine, keys, rollbackIndex };
          const verdict = await verifier.verify(release, files, board);
          if ('missing' in verdict) return { ...nothing, missing: verdict.missing };
          const brought = verdict.accepted.components.find(
            ({ component }) => component.name === firmwareComponent,
          )?.component;
          const runs = image.components[firmwareComponent].version;
          const firmware = brought !== undefined && (await needsFirmware(banks, brought, runs));
          const components = placeRelease(verdict, {
            device: (part) => join(disk, part === firmwareComponent ? part : `${part}_${slot}`),
            // The bank that runs is no file: the client takes nothing of it.
            running: (part) => (part === firmwareComponent ? '' : join(disk, `${part}_${otherSlot(slot)}`)),
            rootHash: await runningRootHash(root),
            firmware,
          });
          for (const { name, device, dataSize } of components)
            if (name === firmwareComponent) await makeRoom(device, dataSize);
          const { release: accepted } = verdict.accepted;
          const { name } = accepted;
          checked = { name, rollbackIndex: accepted.rollbackIndex, components, slot, firmware: brought };
          return { ...nothing, name, components };
        } catch (error) {
          // A disk that fails says nothing of the release.
          if (error instanceof MblError)
            return { ...nothing, refused: error.message, reason: reasonOf(error) };
          throw error;
        }
      }),

    verifySlot: () => oneAtATime(async () => (await faultOfSlot(current())) ?? ''),

    startTrial: () =>
      oneAtATime(async () => {
        const install = current();
        // Once more, whatever was read before: who wrote the slot could write it since.
        const fault = await faultOfSlot(install);
        if (fault !== undefined) throw new MblError('device/slot-mismatch', fault);
        const { slot, name, rollbackIndex } = install;
        const brought = install.components.find((component) => component.name === firmwareComponent);
        const firmware = brought === undefined ? {} : { firmware: await putFirmware(banks, brought) };
        if (install.firmware !== undefined) await store.noteFirmware(install.firmware);
        // First, so that a cut between the two leaves a trial that never was, and not a new version that nobody judges.
        const rootHash = install.components.find((part) => part.name === 'root')?.rootHash ?? '';
        const unregistered = (await readText(orderFile, 256))?.trim() === name;
        await store.beginTrial({ slot, release: name, rollbackIndex, rootHash, unregistered, ...firmware });
        // A cut after this one leaves a firmware on trial with the system of before: mbl-good-boot sends it back.
        if (firmware.firmware !== undefined) await banks.try(firmware.firmware.bank);
        await changeBootState(state, (held) => onTrial(held, slot));
        // What is written from now on would be written over what is to start.
        checked = undefined;
      }),
  };
}

/** What goes to the idle slot, as signed metadata says. */
interface Checked {
  readonly name: string;
  readonly rollbackIndex: number;
  readonly components: readonly InstallComponent[];
  readonly slot: Slot;
  /** The boot firmware that it names, installed already or not. */
  readonly firmware: KnownFirmware | undefined;
}

function shown(outcome: Outcome | undefined): UpdateState {
  if (outcome === undefined) return { state: 'none', release: '', reason: '', detail: '' };
  const { result, ...rest } = outcome;
  return { state: result, ...rest };
}

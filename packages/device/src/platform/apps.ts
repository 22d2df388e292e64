// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AppReason,
  appReasons,
  type DesiredApps,
  formatDesiredApps,
  isTeam,
  maxAppOrder,
  parseAppAsk,
  parseDesiredApps,
  readText,
  type UpdateReason,
  updateReasons,
} from '@mbl/formats';
import { MblError } from '@mbl/trust';
import { writeAtomic } from '../common/files.ts';
import { loadImage } from '../common/image.ts';
import { appReasonOf } from '../common/update-reason.ts';
import { digestOf } from '../slots/contents.ts';
import { readAppStatus } from './app-status.ts';
import { IncomingApps } from './incoming-apps.ts';
import { InstalledApps } from './installed-apps.ts';
import { type Implementation, method } from './method.ts';
import type { SystemOptions } from './options.ts';
import { placePayload, type ReleaseVerifier, type SignedApps } from './release.ts';
import { document, list, oneOf, type ShapeOf, text } from './shapes.ts';
import type { Units } from './units.ts';
import { type InstallComponent, metadataFile, planOf, readingMs } from './update.ts';

const reason = oneOf(
  '',
  ...(Object.keys(updateReasons) as UpdateReason[]),
  ...(Object.keys(appReasons) as AppReason[]),
);

const plan = planOf(reason);

export type AppInstallPlan = ShapeOf<typeof plan>;

/** Documents are those of `app-orders.ts` in `@mbl/formats`. */
export const appMethods = {
  /** A `DesiredApps`: all apps that the device is to have. They are there after a power cut once this is answered. */
  SetDesiredApps: method({ desired: document }),
  /** `{version: 1, releases: AppReleaseStatus[], apps: AppStatus[]}`. */
  GetApps: method({}, document),
  /** Judges the metadata of a release of a team's apps and says what is to be fetched: into files of just the size of the apps. */
  CheckAppRelease: method({ team: text, release: text, metadata: list(metadataFile) }, plan, {
    deadlineMs: 60_000,
  }),
  /** Reads what was fetched, and hands it on with the release that was checked last of that team. */
  InstallAppRelease: method({ team: text, release: text }, undefined, { deadlineMs: readingMs }),
  /** An `AppAsk`, to be done once. */
  AskApp: method({ ask: document }),
  /** The `AppAnswer`s to the last ones. */
  GetAppAnswers: method({}, list(document)),
};

/** Room that stays free beside the images: the file system's own, and the hash trees of fs-verity. */
const spareBytes = 16 << 20;
const treeShare = 1 / 100;
const mostAnswers = 8;
const mostAnswerBytes = 128 * 1024;
const mostPendingAsks = 16;

/** What is to be installed, as signed metadata says. */
interface Checked {
  readonly release: string;
  readonly vouching: SignedApps['vouching'];
  readonly components: readonly InstallComponent[];
}

/** What the app manager judges again. */
function orderOf(team: string, { release, vouching }: Pick<Checked, 'release' | 'vouching'>): string {
  const metadata = [...vouching].map(([name, content]) => ({ name, content }));
  return JSON.stringify({ version: 1, team, release, metadata });
}

/**
 * Hands on what signed metadata names, and nothing else. Who acts is the app manager, which judges all of it again: what is judged here is not fetched in
 * vain, and whoever fetches decides nothing.
 */
export function installApps(
  { apps: folder, appsSaid, appsAsked, imageFile }: SystemOptions,
  verifier: Pick<ReleaseVerifier, 'verifyApps'>,
  units: Units,
): Implementation<typeof appMethods> {
  const orders = join(folder, 'orders');
  const incoming = new IncomingApps(join(folder, 'incoming'), join(orders, '.incoming.json'));
  const installed = new InstalledApps(join(folder, 'installed'));
  const checked = new Map<string, Checked>();
  const readStatus = () => readAppStatus(join(appsSaid, 'status.json'), units);

  /** Calls that change files, one after the other. */
  let turn: Promise<unknown> = Promise.resolve();
  function oneAtATime<T>(call: () => Promise<T>): Promise<T> {
    const done = turn.then(call);
    turn = done.catch(() => undefined);
    return done;
  }

  /** Has the app manager look at what is ordered. */
  async function trigger(): Promise<void> {
    const { O_CREAT, O_WRONLY, O_TRUNC } = constants;
    await using file = await open(join(appsAsked, 'apps'), O_CREAT | O_WRONLY | O_TRUNC, 0o644);
    await file.writeFile('changed\n');
  }

  async function place(team: string, { release, apps, locate }: SignedApps): Promise<InstallComponent[]> {
    const refuse = (why: string) => new MblError('device/release-refused', `${release.name}: ${why}`);
    const components: InstallComponent[] = [];
    const damaged = (await readStatus()).releases.some(
      (one) => one.team === team && one.reason === 'app/damaged',
    );
    const former = await installed.appsOf(team);
    for (const { app, component, payload: target } of apps) {
      const { name, size, sha256, payload } = component;
      if (payload === undefined || target === undefined)
        throw refuse(`it has no payload of ${name}: an older program made it`);
      // The file ends with its last block: what the kernel measures has no padding.
      if (payload.dataSize !== size) throw refuse(`the image of ${name} is not whole blocks`);
      if (!damaged && (await installed.hasImage(app.image.fsVerity, size))) continue;
      const before = former.get(name);
      components.push({
        name,
        device: incoming.path(sha256),
        running: before === undefined ? '' : installed.image(before.fsVerity),
        size,
        sha256,
        ...placePayload(team, { payload, file: locate(target) }, before?.rootHash ?? ''),
      });
    }
    return components;
  }

  async function makeRoom(team: string, components: readonly InstallComponent[]): Promise<void> {
    // Who wants these wants none that the team wanted before.
    await incoming.want(team, new Set(components.map(({ sha256 }) => sha256)));
    let lacking = 0;
    for (const { sha256, size } of components)
      lacking += size * (1 + treeShare) - (await incoming.allocated(sha256));
    const free = await incoming.freeBytes();
    if (lacking > 0 && lacking + spareBytes > free)
      throw new MblError(
        'device/no-room-for-apps',
        `the apps need ${Math.ceil(lacking + spareBytes)} bytes, and ${free} are free`,
        { details: { reason: 'app/no-room' } },
      );
    for (const { sha256, size } of components) await incoming.make(sha256, size);
  }

  async function setDesired(desired: DesiredApps): Promise<void> {
    await writeAtomic(join(orders, 'desired.json'), `${formatDesiredApps(desired)}\n`, 0o644);
    const wanted = new Map(desired.releases.map(({ team, release }) => [team, release]));
    for (const [team, { release }] of checked) if (wanted.get(team) !== release) checked.delete(team);
    for (const name of await readdir(orders)) {
      const team = name.replace(/\.json$/, '');
      if (name !== 'desired.json' && name.endsWith('.json') && isTeam(team) && !wanted.has(team))
        await rm(join(orders, name), { force: true });
    }
    await incoming.keepOnly(new Set(wanted.keys()));
  }

  return {
    setDesiredApps: ({ desired }) =>
      oneAtATime(async () => {
        await setDesired(parseDesiredApps(desired));
        await trigger();
      }),

    getApps: async () => JSON.stringify({ version: 1, ...(await readStatus()) }),

    checkAppRelease: ({ team, release, metadata }) =>
      oneAtATime(async () => {
        const files = new Map(metadata.map(({ name, content }) => [name, content]));
        const nothing = { missing: '', refused: '', reason: '' as const, name: release, components: [] };
        checked.delete(team);
        try {
          if (!isTeam(team) || team === 'desired')
            throw new MblError('device/release-refused', 'no team can have that name');
          const { keys } = await loadImage(imageFile);
          const board = { keys, rollbackIndex: await installed.acceptedIndex(team) };
          const verdict = await verifier.verifyApps({ team, name: release }, files, board);
          if ('missing' in verdict) return { ...nothing, missing: verdict.missing };
          const components = await place(team, verdict);
          const install = { release, vouching: verdict.vouching, components };
          if (Buffer.byteLength(orderOf(team, install)) >= maxAppOrder)
            throw new MblError('device/release-refused', `its metadata has more than ${maxAppOrder} bytes`);
          await makeRoom(team, components);
          checked.set(team, install);
          return { ...nothing, components };
        } catch (error) {
          // A disk that fails says nothing of the release.
          if (error instanceof MblError)
            return { ...nothing, refused: error.message, reason: appReasonOf(error) };
          throw error;
        }
      }),

    installAppRelease: ({ team, release }) =>
      oneAtATime(async () => {
        const install = checked.get(team);
        if (install?.release !== release)
          throw new MblError('device/no-release', `no release ${release} of ${team} was checked`);
        for (const { name, device, size, sha256 } of install.components) {
          const there = await incoming.sizeOf(sha256);
          if (there !== size || (await digestOf(device, size)) !== sha256)
            throw new MblError('device/slot-mismatch', `what was fetched is not the ${name} of ${release}`);
        }
        await writeAtomic(join(orders, `${team}.json`), `${orderOf(team, install)}\n`, 0o644);
        await trigger();
      }),

    async askApp({ ask: given }) {
      const ask = parseAppAsk(given);
      const asks = join(appsAsked, 'asks');
      await mkdir(asks, { recursive: true });
      const pending = await readdir(asks);
      if (pending.length >= mostPendingAsks)
        throw new MblError('device/too-many-asks', `${pending.length} orders wait already`);
      // In one step: whoever waits for a file finds it whole.
      const draft = join(appsAsked, `.${ask.id}.new`);
      await using file = await open(draft, 'w', 0o644);
      await file.writeFile(`${JSON.stringify(ask)}\n`);
      await rename(draft, join(asks, `${ask.id}.json`));
    },

    async getAppAnswers() {
      const answers = join(appsSaid, 'answers');
      const names = await readdir(answers).catch(() => []);
      const found: { text: string; time: number }[] = [];
      for (const name of names.filter((one) => /^[0-9a-f]{16}\.json$/.test(one)).slice(0, 64)) {
        const path = join(answers, name);
        const content = await readText(path, mostAnswerBytes).catch(() => undefined);
        if (content === undefined) continue;
        found.push({ text: content.trim(), time: (await stat(path)).mtimeMs });
      }
      return found
        .toSorted((a, b) => a.time - b.time)
        .slice(-mostAnswers)
        .map((one) => one.text);
    },
  };
}

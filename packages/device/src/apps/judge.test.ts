// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FsVerityHasher } from '@mbl/blocks';
import { formatApp } from '@mbl/formats';
import {
  acceptApps,
  addTargets,
  beginRepository,
  changeRole,
  Client,
  composeApps,
  emptyState,
  folderSource,
  makeBornRoot,
  memoryStore,
  metadataSigner,
  publish,
  signStaged,
  writePublished,
} from '@mbl/releases';
import { memorySigner } from '@mbl/trust';
import { TemporaryFolder } from '../testing/support.ts';
import {
  formatSignedApps,
  isRefusal,
  judgeApps,
  type JudgeOptions,
  parseSignedApps,
  type SignedApps,
} from './judge.ts';
import { appOf } from './testing/app-board.ts';

const now = new Date('2027-01-15T12:00:00Z');
const later = new Date('2037-01-15T12:00:00Z');
const newSigner = () => metadataSigner(memorySigner(generateKeyPairSync('ed25519').privateKey));

describe('a release that was handed in', () => {
  const folder = new TemporaryFolder();
  let born: Uint8Array;
  /** All that a device needs of it. */
  let signed: SignedApps;
  let board: JudgeOptions;
  /** Replaces the keys of all but the root and the team; returns the new root. */
  let rotate: () => Promise<Uint8Array>;

  before(async () => {
    const [root, targets, snapshot, timestamp, team] = [
      await newSigner(),
      await newSigner(),
      await newSigner(),
      await newSigner(),
      await newSigner(),
    ];
    const state = emptyState();
    born = await makeBornRoot({ root, targets, snapshot, timestamp }, now);
    beginRepository(state, { root, targets, snapshot, timestamp }, born, now);
    changeRole(state, 'weather', { add: [team.key] }, now);
    const all = [root, targets, snapshot, timestamp, team];
    const bytes = Buffer.alloc(12_288, 7);
    const verity = new FsVerityHasher();
    verity.update(bytes);
    const image = {
      file: 'app.erofs',
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      fsVerity: verity.finish(),
    };
    const source = join(folder.path, 'sensor');
    mkdirSync(source);
    writeFileSync(join(source, 'app.erofs'), bytes);
    writeFileSync(join(source, 'app.json'), formatApp(appOf('sensor', '1.0', { change: { image } })));
    const composed = await composeApps({
      ...{
        team: 'weather',
        name: '1.0',
        packages: [source],
        keys: 'development',
        rollbackIndex: 3,
        notes: '',
      },
      repository: folder.path,
    });
    addTargets(state, 'weather', composed.targets, now);
    await signStaged(state, all);
    const { files } = await publish(state, { signers: all, now });
    await writePublished(folder.path, files);
    signed = await handedOn(born);
    board = { root: born, keys: 'development', rollbackIndex: 0, now };
    rotate = async () => {
      const signers = [...all];
      for (const [role, { key: old }] of Object.entries({ timestamp, snapshot, targets })) {
        const fresh = await newSigner();
        signers.push(fresh);
        changeRole(state, role, { add: [fresh.key], remove: [old.id] }, now);
      }
      await signStaged(state, signers);
      const next = await publish(state, { signers, now });
      assert.deepEqual(next.waiting, []);
      await writePublished(folder.path, next.files);
      return next.files.get('2.root.json') ?? Buffer.alloc(0);
    };
  });
  after(() => folder[Symbol.dispose]());

  /** What a client that knows this root hands on. */
  async function handedOn(root: Uint8Array): Promise<SignedApps> {
    const seen = new Map<string, string>();
    const repository = folderSource(folder.path);
    const client = await Client.open({
      root,
      source: {
        async open(path) {
          const found = await repository.open(path);
          const pieces: Uint8Array[] = [];
          if (found !== undefined) for await (const piece of found) pieces.push(piece);
          seen.set(path, Buffer.concat(pieces).toString('utf8'));
          return found && (await folderSource(folder.path).open(path));
        },
      },
      store: memoryStore(),
      now,
    });
    await acceptApps(client, { team: 'weather', name: '1.0' }, { keys: 'development', rollbackIndex: 0 });
    const metadata = [...seen].map(([name, content]) => ({ name, content }));
    return parseSignedApps(formatSignedApps({ team: 'weather', release: '1.0', metadata }), 'order');
  }

  const refused = async (handed: SignedApps, options: Partial<JudgeOptions>, reason: string) => {
    const judged = await judgeApps(handed, { ...board, ...options });
    assert.ok(isRefusal(judged), reason);
    assert.equal(judged.reason, reason, judged.detail);
  };

  test('is what its team signed, and asks for nothing more than what was handed in', async () => {
    const judged = await judgeApps(signed, board);
    assert.ok(!isRefusal(judged), JSON.stringify(judged));
    assert.deepEqual([judged.rollbackIndex, judged.apps.map(({ name }) => name)], [3, ['sensor']]);
  });

  test('must be in date; what is installed already stays judged well', async () => {
    await refused(signed, { now: later }, 'update/metadata-expired');
    const { now: _, ...kept } = board;
    assert.ok(!isRefusal(await judgeApps(signed, kept)));
  });

  test('is refused when the team has accepted a higher index, and for other keys', async () => {
    assert.ok(!isRefusal(await judgeApps(signed, { ...board, rollbackIndex: 3 })));
    await refused(signed, { rollbackIndex: 4 }, 'update/too-old');
    await refused(signed, { keys: 'production' }, 'update/wrong-device');
  });

  test('is refused under another name, of another root, and with any file changed or missing', async () => {
    await refused({ ...signed, release: '1.1' }, {}, 'update/unknown-release');
    await refused({ ...signed, team: 'radio' }, {}, 'update/unknown-release');
    const [root, targets, snapshot, timestamp] = [
      await newSigner(),
      await newSigner(),
      await newSigner(),
      await newSigner(),
    ];
    const other = await makeBornRoot({ root, targets, snapshot, timestamp }, now);
    await refused(signed, { root: other }, 'update/signature-invalid');
    const { now: _, ...kept } = board;
    const needed = signed.metadata.filter(({ content }) => content !== '');
    assert.ok(needed.length >= 6);
    for (const { name, content } of needed) {
      const change = (text: string | undefined) =>
        signed.metadata.flatMap((one) =>
          one.name !== name ? [one] : text === undefined ? [] : [{ name, content: text }],
        );
      // A digit of a number, or of a digest, or of a signature.
      const changed = content.replace(/\d(?=[^\d]*$)/, (digit) => String((Number(digit) + 1) % 10));
      assert.notEqual(changed, content, name);
      for (const metadata of [change(changed), change(undefined)])
        assert.ok(isRefusal(await judgeApps({ ...signed, metadata }, kept)), name);
    }
  });

  test('does not hold by a root that has other keys, until it is handed in anew: then it does by either', async () => {
    const root = await rotate();
    await refused(signed, { root }, 'update/signature-invalid');
    const anew = await handedOn(born);
    for (const one of [born, root]) assert.ok(!isRefusal(await judgeApps(anew, { ...board, root: one })));
    assert.ok(!isRefusal(await judgeApps(await handedOn(root), { ...board, root })));
  });
});

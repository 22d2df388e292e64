// SPDX-License-Identifier: Apache-2.0
//
// An update of a team's apps that is good, one that is not healthy, and a way back: what the power is cut in.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AppReleaseStatus } from '@mbl/formats';
import type { Board } from '@mbl/lab';
import { until } from '../world.ts';
import type { Behaviour } from './crashed-device.ts';
import type { AppDeeds } from './recorded-apps.ts';
import { must, put, type Team } from './team.ts';

/** Of all releases: one that is accepted keeps those before it, and a lower one is not taken any more. */
export const rollbackIndex = 1;

/** What the played apps of the releases do. */
export const behaviour: Behaviour = ({ app, release }) =>
  app === 'extra' && release === '1.4' ? 'sick' : 'good';

/** So large that the image has a hash tree, and more blocks than one write. */
export const table = {
  table: Buffer.concat(
    Array.from({ length: 2048 }, (_, index) => createHash('sha256').update(`${index}`).digest()),
  ),
};

export async function makeUpdates(team: Team): Promise<void> {
  await team.release('1.3', { sensor: { files: table }, extra: {} }, rollbackIndex);
  const health =
    'health: { command: [/bin/ticker, end], interval: 1 s, timeout: 20 s, failures: 1, grace: 1 s }';
  await team.release('1.4', { sensor: { files: table }, extra: { lines: [health] } }, rollbackIndex);
}

/** With 1.0 on the board, whose apps include `sensor`; it runs in the end. */
export async function doUpdates(board: Board, team: Team, deeds: AppDeeds): Promise<void> {
  const stands =
    (release: string, state: AppReleaseStatus['state'], running: string) => async (): Promise<void> =>
      await until(
        `${release} ${state}, ${running} runs`,
        async () => {
          const { stdout } = await board.ssh('cat /run/mbl/apps/status.json');
          const { releases = [] } = JSON.parse(stdout || '{}') as { releases?: AppReleaseStatus[] };
          const found = releases.find((one) => one.team === team.name);
          return found?.release === release && found.state === state && found.running === running
            ? true
            : undefined;
        },
        300_000,
      ).then(() => undefined);
  await deeds.keep('sensor', 'state', 'kept', 'what the sensor knows\n');
  // Who fetched before had to stop in the middle.
  const [first] = team.built('1.3');
  if (first === undefined) throw new Error('1.3 has no apps');
  const bytes = await readFile(first.image);
  const half = bytes.subarray(0, bytes.length / 2);
  await put(board, `/data/apps/incoming/${first.app.image.sha256}.erofs`, half);
  await deeds.bring('1.3', '1.3', stands('1.3', 'running', '1.3'));
  await deeds.keep('extra', 'state', 'kept', 'what the other one knows\n');
  await deeds.bring('1.4', '1.3', stands('1.4', 'fell-back', '1.3'));
  const ask = JSON.stringify({ id: '00000000000000ac', action: 'rollback', name: team.name });
  await deeds.ask(
    '1.0',
    async () => {
      const file = '/run/mbl-platformd/.rollback';
      await must(
        board,
        `mkdir -p /run/mbl-platformd/asks && cat >${file} <<'END' && mv ${file} /run/mbl-platformd/asks/00000000000000ac.json\n${ask}\nEND`,
      );
    },
    stands('1.4', 'fell-back', '1.0'),
  );
}

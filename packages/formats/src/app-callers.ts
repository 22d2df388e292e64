// SPDX-License-Identifier: Apache-2.0
//
// `/run/mbl/apps/callers.json`: who an app is on the apps' own bus, where it is known by its uid alone. `mbl-apps` writes it from what is
// installed, the cloud client reads it.

import { isAppName } from './app-rules.ts';
import { type AppResource, readResource } from './app.ts';
import { type JsonRecord, readRecord } from './record.ts';
import { isTeam } from './release.ts';

/** An app that may call somebody on the bus: what its signed `app.json` says. */
export interface AppCaller {
  readonly app: string;
  readonly team: string;
  readonly resources: readonly AppResource[];
  /** Names that it may call, and own: `permissions.bus`. */
  readonly talk: readonly string[];
  readonly own: readonly string[];
}

/** By uid. */
export type AppCallers = ReadonlyMap<number, AppCaller>;

export const maxAppCallersBytes = 4 * 1024 * 1024;
/** Apps on a device. */
const mostCallers = 1024;
const uid = /^[1-9]\d{0,9}$/;

export function formatAppCallers(callers: AppCallers): string {
  return `${JSON.stringify({ version: 1, callers: Object.fromEntries(callers) })}\n`;
}

/** Throws `formats/bad-app-callers`. */
export function parseAppCallers(text: string): AppCallers {
  const json = readRecord(text, {
    path: 'callers.json',
    code: 'formats/bad-app-callers',
    most: maxAppCallersBytes,
  });
  if (!json.is('version', 1)) throw json.fail('"version" must be 1');
  return new Map(
    json.entries('callers', mostCallers).map(([key, caller]) => {
      if (!uid.test(key)) throw json.fail('"callers" must have uids');
      return [Number(key), readCaller(caller)];
    }),
  );
}

function readCaller(json: JsonRecord): AppCaller {
  const [app, team] = [json.string('app'), json.string('team')];
  if (!isAppName(app)) throw json.fail('"app" is no name of an app');
  if (!isTeam(team)) throw json.fail('"team" is no name of a team');
  return {
    app,
    team,
    resources: json.objects('resources', 1024).map(readResource),
    talk: json.strings('talk', 32),
    own: json.strings('own', 32),
  };
}

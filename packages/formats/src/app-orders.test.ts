// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  formatDesiredApps,
  maxDesiredApps,
  parseAppAnswer,
  parseAppAsk,
  parseAppReleaseStatus,
  parseAppStatus,
  parseDesiredApps,
} from './app-orders.ts';

describe('the documents about apps', () => {
  test('reads desired apps back as they were written', () => {
    const desired = {
      version: 1,
      releases: [
        { team: 'sensors', release: '1.2' },
        { team: 'web', release: '3', repository: 'https://mirror.example/' },
      ],
    } as const;
    assert.deepEqual(parseDesiredApps(formatDesiredApps(desired)), desired);
  });

  test('refuses what a device could misread', () => {
    const bad = { code: 'formats/bad-desired-apps' };
    const releases = (...list: unknown[]) => JSON.stringify({ version: 1, releases: list });
    for (const text of [
      '',
      '[]',
      '{"version":2,"releases":[]}',
      releases({ team: 'os', release: '' }),
      releases({ team: '../x', release: '1' }),
      releases({ team: 'a', release: '../1' }),
      releases({ team: 'a', release: '1' }, { team: 'a', release: '2' }),
      releases({ team: 'a', release: '1', repository: 'file:///etc' }),
      ' '.repeat(maxDesiredApps + 1),
    ])
      assert.throws(() => parseDesiredApps(text), bad, text);
  });

  test('reads a status, and a reason that it does not know as a failure', () => {
    const app = {
      name: 'sensor',
      team: 'sensors',
      release: '1.2',
      version: '1.2.0',
      state: 'restarting',
      since: 1,
      restarts: 2,
      memory: 3,
      reason: 'app/out-of-memory',
      detail: '',
    };
    assert.deepEqual(parseAppStatus(JSON.stringify(app)), app);
    assert.equal(parseAppStatus(JSON.stringify({ ...app, reason: 'app/of-tomorrow' })).reason, 'app/failed');
    assert.throws(() => parseAppStatus(JSON.stringify({ ...app, state: 'flying' })), {
      code: 'formats/bad-app-status',
    });
    const release = {
      team: 'sensors',
      release: '1.2',
      running: '',
      state: 'waits',
      reason: 'update/mirror-unreachable',
      detail: 'no mirror',
      fetched: 0,
      toFetch: 10,
    };
    assert.deepEqual(parseAppReleaseStatus(JSON.stringify(release)), release);
  });

  test('reads what is asked once, and its answer', () => {
    const id = '0123456789abcdef';
    assert.deepEqual(parseAppAsk(JSON.stringify({ id, action: 'run', name: 'sensor', command: ['ls'] })), {
      id,
      action: 'run',
      name: 'sensor',
      command: ['ls'],
      timeout: 30,
    });
    const bad = { code: 'formats/bad-app-ask' };
    assert.throws(() => parseAppAsk(JSON.stringify({ id, action: 'run', name: 'sensor', command: [] })), bad);
    assert.throws(() => parseAppAsk(JSON.stringify({ id: 'x', action: 'stop', name: 'sensor' })), bad);
    assert.throws(() => parseAppAsk(JSON.stringify({ id, action: 'format', name: 'sensor' })), bad);
    for (const [action, name] of [
      ['rollback', 'root'],
      ['log', 'bus'],
      ['stop', 'health-sensor'],
    ])
      assert.throws(() => parseAppAsk(JSON.stringify({ id, action, name })), bad, name);
    const answer = { id, error: '', cursor: 's=1', log: [{ time: 5, text: 'line\twith a tab' }] };
    assert.deepEqual(parseAppAnswer(JSON.stringify(answer)), answer);
    assert.throws(() => parseAppAnswer(JSON.stringify({ id, error: '', exit: 300 })), {
      code: 'formats/bad-app-answer',
    });
  });
});

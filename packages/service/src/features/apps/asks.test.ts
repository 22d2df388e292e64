// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { AppDevice } from '../../testing/app-device.ts';
import { enrol, eventually, TestDevice } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

describe('something that an app is to do once', { timeout: 400_000 }, () => {
  const stack = new AsyncDisposableStack();
  let service: TestService;
  before(async () => {
    service = stack.use(await TestService.start());
  });
  after(async () => await stack.disposeAsync());

  const board = async (name: string): Promise<AppDevice> => {
    const device = await AppDevice.enrolled(service, name);
    await device.start();
    return device;
  };
  const ask = async (device: { id: string }, what: string, body?: object) =>
    await service.call('POST', `/v3/devices/${device.id}/apps/${what}`, body);

  test('is answered when the device has: its log, a program and how it ended, a rollback of a team', async () => {
    await using device = await board('ask-1');
    device.onAsk = ({ action }) => {
      if (action === 'log')
        return { error: '', cursor: 'c1', log: [{ time: 1_800_000_000_000, text: 'on' }] };
      if (action === 'run') return { error: '', exit: 3, output: 'a\nb\u001b[0m' };
      return { error: action === 'stop' ? 'it is stopped already' : '' };
    };
    const log = await ask(device, 'sensor/log', { lines: 10 });
    assert.equal(log.status, 200, JSON.stringify(log.body));
    assert.deepEqual(log.body.log, [{ time: '2027-01-15T08:00:00.000Z', text: 'on' }]);
    assert.equal(log.body.cursor, 'c1');
    const run = await ask(device, 'sensor/run', { command: ['/bin/ls', '-l'], timeout: 5 });
    assert.deepEqual([run.body.exit, run.body.output], [3, 'a\nb\u001b[0m']);
    assert.equal((await ask(device, 'sensor/restart')).status, 200);
    assert.equal((await ask(device, 'weather/rollback')).status, 200);
    const stop = await ask(device, 'sensor/stop');
    assert.deepEqual([stop.status, stop.body.message], [409, 'it is stopped already']);
    assert.deepEqual(
      device.asks.map(({ id: _id, ...rest }) => rest),
      [
        { action: 'log', name: 'sensor', lines: 10 },
        { action: 'run', name: 'sensor', command: ['/bin/ls', '-l'], timeout: 5 },
        { action: 'restart', name: 'sensor' },
        { action: 'rollback', name: 'weather' },
        { action: 'stop', name: 'sensor' },
      ],
    );
  });

  test('of many who ask at once each gets the answer to what was asked', async () => {
    await using device = await board('ask-2');
    let open = 0;
    let most = 0;
    device.onAsk = ({ id, command }) => {
      most = Math.max(most, (open += 1));
      // In another order than they came.
      setTimeout(
        () => {
          open -= 1;
          device.answer({ id, error: '', exit: 0, output: command?.[0] ?? '' });
        },
        20 + Math.random() * 40,
      );
      return undefined;
    };
    const words = Array.from({ length: 18 }, (_, i) => `word-${i}`);
    const answers = await Promise.all(words.map((word) => ask(device, 'sensor/run', { command: [word] })));
    assert.deepEqual(
      answers.map(({ body }) => body.output),
      words,
    );
    assert.ok(most <= 4 && most > 1, `${most} at once: the device keeps its last 8 answers`);
  });

  test('those for whom there is no place are sent away, and leave nothing behind', async () => {
    await using device = await board('ask-3');
    const held: string[] = [];
    device.onAsk = ({ id }) => {
      held.push(id);
      return undefined;
    };
    const all = Array.from({ length: 24 }, () => ask(device, 'sensor/restart'));
    await eventually(async () => held.length === 4, 'four are asked');
    const refused = await Promise.race(all);
    assert.equal(refused.status, 429);
    device.onAsk = () => ({ error: '' });
    for (const id of held) device.answer({ id, error: '' });
    const counts = Map.groupBy(await Promise.all(all), ({ status }) => status);
    assert.deepEqual([counts.get(200)?.length, counts.get(429)?.length], [20, 4]);
    assert.equal((await ask(device, 'sensor/restart')).status, 200, 'and the next one is served');
  });

  test('outlives a connection that breaks: the answer is there when the device comes back', async () => {
    await using device = await board('ask-4');
    device.onAsk = async () => {
      await device.disconnect();
    };
    const waiting = ask(device, 'sensor/restart');
    await eventually(async () => device.asks.length === 1, 'it is asked');
    device.answer({ id: device.asks[0]?.id ?? '', error: '' });
    await device.reconnect();
    assert.equal((await waiting).status, 200);
    assert.equal(device.asks.length, 1, 'asked once');
  });

  test('answers that are none, and those of others, are no answers', async () => {
    await using device = await board('ask-5');
    device.onAsk = ({ id }) => {
      for (const text of [
        'x'.repeat(40_000),
        '{}',
        JSON.stringify({ id: 'ffffffffffffffff', error: '' }),
        JSON.stringify({ id, error: 'a\u0007b' }),
        JSON.stringify({ id, error: '', exit: 4000 }),
        JSON.stringify({ id, error: '', log: Array.from({ length: 300 }, () => ({ time: 1, text: '' })) }),
      ])
        device.answer(text);
      device.answer({ id, error: '', output: 'mine', exit: 0 });
      return undefined;
    };
    const { status, body } = await ask(device, 'sensor/run', { command: ['x'] });
    assert.deepEqual([status, body.output], [200, 'mine']);
  });

  test('a device that does not tell by itself is looked at', async () => {
    await using device = await board('ask-6');
    device.onAsk = ({ id }) => {
      setTimeout(() => device.answer({ id, error: '' }, { told: false }), 30);
      return undefined;
    };
    assert.equal((await ask(device, 'sensor/restart')).status, 200);
  });

  test('what cannot be asked is refused at once', async () => {
    await using device = await board('ask-7');
    const refused = async (what: string, body?: object) => {
      const answer = await ask(device, what, body);
      return [answer.status, answer.body.fields?.[0]?.name];
    };
    assert.deepEqual(await refused('Sensor/stop'), [400, 'app']);
    assert.deepEqual(await refused('os/rollback'), [400, 'app']);
    assert.deepEqual(await refused('sensor/run'), [400, 'command']);
    assert.deepEqual(await refused('sensor/stop', { command: ['x'] }), [400, 'command']);
    assert.deepEqual(await refused('sensor/run', { command: ['x'.repeat(1000), 'x'.repeat(1000)] }), [
      400,
      'command',
    ]);
    assert.equal((await refused('sensor/explode'))[0], 400);
    assert.equal((await ask({ id: '7' }, 'sensor/stop')).status, 404);
    assert.equal(device.asks.length, 0);
    await device.off();
    await eventually(async () => !(await service.get(`/v3/devices/${device.id}`)).body.online, 'away');
    assert.equal((await ask(device, 'sensor/stop')).status, 503);
    const plain = await enrol(service, 'ask-8');
    await using _ = await TestDevice.register(service, plain);
    assert.equal((await ask({ id: plain.deviceId }, 'sensor/stop')).status, 409);
  });
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '../codes.ts';
import { OptionNumber } from '../message/option-registry.ts';
import { emptyOption, maxAgeOption, uintOption, uintValue } from '../message/option-values.ts';
import { decodeUdpMessage, encodeUdpMessage, MessageType } from '../message/udp-message.ts';
import type { CoapResponse, Observer, RequestHandler } from '../peer.ts';
import {
  CLIENT,
  SERVER,
  scriptedServer,
  type SimulatedPair,
  simulatedPair,
} from '../testing/simulated-pair.ts';
import { coapError, content, get, text, utf8 } from '../testing/support.ts';
import { isFresher } from './freshness.ts';

interface Observed extends SimulatedPair {
  observers: Observer[];
}

/** A server whose resource is observed by hand. */
function observed(answer: RequestHandler = () => content('0')): Observed {
  const observers: Observer[] = [];
  const pair = simulatedPair({
    handler: (request, context) => {
      if (context.acceptObserve !== undefined) observers.push(context.acceptObserve());
      return answer(request, context);
    },
  });
  return { ...pair, observers };
}

function texts(seen: CoapResponse[]): string[] {
  return seen.map(({ payload }) => text(payload));
}

test('RFC 7641 appendix A.1, figure 5: state, new state, reordered states', async () => {
  const { clock, network, client } = simulatedPair({});
  let token = utf8('');
  let messageId = 0x7b50;
  const transport = network.attach(SERVER, (datagram, from) => {
    const message = decodeUdpMessage(datagram, { maxMessageSize: 1152, maxOptions: 16 });
    if (message.type !== MessageType.CON) return;
    token = message.token.slice();
    assert.equal(uintValue(message.options, OptionNumber.OBSERVE), 0);
    send(9, '18.5 Cel', MessageType.ACK, message.messageId, from);
  });
  const send = (sequence: number, state: string, type: MessageType, id = messageId++, to = CLIENT): void => {
    const options = [uintOption(OptionNumber.OBSERVE, sequence), maxAgeOption(15)];
    const message = { type, messageId: id, code: Code.CONTENT, token, options, payload: utf8(state) };
    transport.send(encodeUdpMessage(message), to);
  };
  const seen: CoapResponse[] = [];
  const peer = client.peer(SERVER);
  const observation = await clock.until(peer.observe(get('/temperature'), (response) => seen.push(response)));
  assert.equal(text(observation.first.payload), '18.5 Cel');
  send(16, '19.2 Cel', MessageType.NON);
  await clock.advance(100);
  // Older states that the network delivered late are acknowledged and not shown.
  send(12, 'old', MessageType.CON);
  send(16, 'same', MessageType.NON);
  await clock.advance(100);
  send(20, '19.7 Cel', MessageType.CON);
  await clock.advance(100);
  assert.deepEqual(texts(seen), ['19.2 Cel', '19.7 Cel']);
  // The numbers start anew after 128 seconds at the latest.
  await clock.advance(129_000);
  send(2, '20.0 Cel', MessageType.NON);
  await clock.advance(100);
  assert.equal(texts(seen).at(-1), '20.0 Cel');
});

test('a response with a critical option nobody knows is rejected, a malformed elective one is left out', async () => {
  const { clock, peer, network } = simulatedPair({});
  // Option 9 is critical; Observe has at most three bytes.
  scriptedServer(network, () => content('', [uintOption(9, 1)]));
  await assert.rejects(clock.until(peer.request(get('/t'))), coapError('coap/bad-option'));
  scriptedServer(network, () =>
    content('state', [{ number: OptionNumber.OBSERVE, value: new Uint8Array(5) }]),
  );
  const { first } = await clock.until(peer.observe(get('/t'), () => {}));
  assert.equal(text(first.payload), 'state');
  assert.deepEqual(first.options, []);
});

test('RFC 7641 §3.4: what is fresher', () => {
  const at = (sequence: number, atMs = 0): { sequence: number; atMs: number } => ({ sequence, atMs });
  assert.equal(isFresher(at(1), at(2)), true);
  assert.equal(isFresher(at(2), at(1)), false);
  assert.equal(isFresher(at(1), at(1)), false);
  assert.equal(isFresher(at(2 ** 24 - 1), at(0)), true);
  assert.equal(isFresher(at(0), at(2 ** 24 - 1)), false);
  assert.equal(isFresher(at(5), at(1, 128_001)), true);
});

test('a server notifies; a cancelled observation is forgotten on both ends', async () => {
  const { clock, peer, observers, log } = observed();
  const seen: CoapResponse[] = [];
  const observation = await clock.until(peer.observe(get('/t'), (response) => seen.push(response)));
  observers[0]?.notify(content('1'));
  await clock.advance(100);
  observers[0]?.notify(content('2'));
  await clock.advance(100);
  await clock.until(observation.cancel());
  await observation.cancel();
  assert.equal(observers[0]?.signal.aborted, true);
  observers[0]?.notify(content('3'));
  await clock.advance(1000);
  assert.deepEqual(texts(seen), ['1', '2']);
  assert.deepEqual(log(), [
    '> CON [1] 0.01 /t obs:0',
    '< ACK [1] 2.05 obs:1',
    '< CON [2] 2.05 obs:2',
    '> ACK [2]',
    '< CON [3] 2.05 obs:3',
    '> ACK [3]',
    '> CON [4] 0.01 /t obs:1',
    '< ACK [4] 2.05',
  ]);
});

test('while a notification is on its way only the newest state is kept, and a repetition carries it', async () => {
  const { clock, peer, observers, network, log } = observed();
  const seen: CoapResponse[] = [];
  await clock.until(peer.observe(get('/t'), (response) => seen.push(response)));
  network.faults.loss = 1;
  for (const state of ['1', '2', '3']) observers[0]?.notify(content(state));
  await clock.advance(500);
  network.faults.loss = 0;
  await clock.advance(10_000);
  assert.deepEqual(texts(seen), ['3']);
  // RFC 7641 §4.5.2: a new message id, the retransmission count goes on.
  assert.deepEqual(log().slice(2), ['< CON [2] 2.05 obs:2 lost', '< CON [3] 2.05 obs:3', '> ACK [3]']);
});

test('a client that forgot the observation rejects, and is forgotten', async () => {
  const { clock, client, peer, observers, log } = observed();
  await clock.until(peer.observe(get('/t'), () => {}));
  peer.close();
  client.peer(SERVER);
  observers[0]?.notify(content('1'));
  await clock.advance(1000);
  assert.equal(observers[0]?.signal.aborted, true);
  assert.deepEqual(log().slice(2), ['< CON [2] 2.05 obs:2', '> RST [2]']);
});

test('a client that is gone is forgotten when no notification is acknowledged', async () => {
  const { clock, peer, observers, network } = observed();
  await clock.until(peer.observe(get('/t'), () => {}));
  network.faults.loss = 1;
  observers[0]?.notify(content('1'));
  await clock.advance(100_000);
  assert.equal(observers[0]?.signal.aborted, true);
});

test('an error state ends the observation on both ends', async () => {
  const { clock, peer, observers } = observed();
  const seen: CoapResponse[] = [];
  const observation = await clock.until(peer.observe(get('/t'), (response) => seen.push(response)));
  observers[0]?.end({ ...content('gone'), code: Code.NOT_FOUND });
  await clock.advance(1000);
  assert.equal(seen[0]?.code, Code.NOT_FOUND);
  assert.equal(uintValue(seen[0]?.options ?? [], OptionNumber.OBSERVE), undefined);
  observers[0]?.notify(content('too late'));
  await clock.advance(1000);
  assert.equal(seen.length, 1);
  await clock.until(observation.cancel());
});

test('a resource that is not observed gives its state once', async () => {
  const { clock, peer, log } = simulatedPair({ handler: () => content('once') });
  const observation = await clock.until(peer.observe(get('/t'), () => assert.fail('no notification')));
  assert.equal(text(observation.first.payload), 'once');
  assert.equal(uintValue(observation.first.options, OptionNumber.OBSERVE), undefined);
  await observation.cancel();
  assert.equal(log().length, 2);
});

test('an error to the registration ends the observer that the handler made', async () => {
  const { clock, peer, observers } = observed(() => ({ ...content(''), code: Code.FORBIDDEN }));
  const observation = await clock.until(peer.observe(get('/t'), () => {}));
  assert.equal(observation.first.code, Code.FORBIDDEN);
  assert.equal(observers[0]?.signal.aborted, true);
});

test('registering again with the token replaces the observer', async () => {
  const { clock, network, observers } = observed();
  const transport = network.attach(CLIENT, () => {});
  for (const messageId of [1, 2]) {
    const options = [emptyOption(OptionNumber.OBSERVE)];
    const message = { type: MessageType.CON, messageId, code: Code.GET, token: utf8('t'), options };
    transport.send(encodeUdpMessage({ ...message, payload: utf8('') }), SERVER);
    await clock.advance(100);
  }
  assert.deepEqual(
    observers.map(({ signal }) => signal.aborted),
    [true, false],
  );
});

test('over the limit of observers a request is answered as if it did not ask to observe', async () => {
  const { clock, peer } = simulatedPair({
    limits: { maxObservers: 2 },
    handler: (_request, { acceptObserve }) => {
      acceptObserve?.();
      return content('');
    },
  });
  const observing: boolean[] = [];
  for (let i = 0; i < 3; i++) {
    const { first } = await clock.until(peer.observe(get('/t'), () => {}));
    observing.push(uintValue(first.options, OptionNumber.OBSERVE) !== undefined);
  }
  assert.deepEqual(observing, [true, true, false]);
});

test('a listener that throws does not harm the peer', async () => {
  const errors: unknown[] = [];
  const observers: Observer[] = [];
  const { clock, peer } = simulatedPair(
    {
      handler: (_request, { acceptObserve }) => {
        if (acceptObserve !== undefined) observers.push(acceptObserve());
        return content('');
      },
    },
    { onHandlerError: (error) => errors.push(error) },
  );
  await clock.until(
    peer.observe(get('/t'), () => {
      throw new Error('a bug of the application');
    }),
  );
  observers[0]?.notify(content('1'));
  await clock.advance(100);
  assert.equal(errors.length, 1);
  assert.equal((await clock.until(peer.request(get('/t')))).code, Code.CONTENT);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { CoapPeer } from '@mbl/coap';
import { connectStream } from '@mbl/coap';
import { Lwm2mClient } from './client/client.ts';
import { serverObject } from './client/server-object.ts';
import { decodeNodes } from './codecs/codecs.ts';
import { component, testDevice } from './testing/objects.ts';
import { eventually } from './testing/wait.ts';

/** Debian's libcoap3-bin. It dials our objects as an LwM2M server would reach them over its connection. */
const coapClient = '/usr/bin/coap-client-notls';

const device = testDevice();
const client = new Lwm2mClient({
  endpointName: 'board-1',
  objects: [serverObject({ lifetime: 600 }), device.instance, component(0, 'kernel', '6.12')],
});
const peers = new Set<CoapPeer>();
const listener = net.createServer((socket) => peers.add(connectStream(socket, { handler: client.handler })));

before(async () => {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
});

after(async () => {
  for (const peer of peers) peer.close();
  listener.close();
  await client[Symbol.asyncDispose]();
});

function uri(path: string): string {
  return `coap+tcp://127.0.0.1:${(listener.address() as AddressInfo).port}${path}`;
}

async function coap(method: string, path: string, ...options: string[]): Promise<Buffer> {
  const { stdout, stderr } = await promisify(execFile)(
    coapClient,
    ['-B', '5', '-m', method, ...options, uri(path)],
    {
      timeout: 10_000,
      encoding: 'buffer',
    },
  );
  const output = Buffer.concat([stdout, stderr]);
  // The tool ends what it prints with a newline.
  return output.at(-1) === 0x0a ? output.subarray(0, -1) : output;
}

test('libcoap reads in every format', async () => {
  assert.equal((await coap('get', '/3/0/0')).toString(), 'ARM');
  const json = (await coap('get', '/3/0', '-A', '110')).toString();
  assert.match(json, /^\[\{"bn":"\/3\/0\/","n":"0","vs":"ARM"\},/);
  const tlv = await coap('get', '/3/0/9', '-A', '11542');
  assert.equal(tlv.toString('hex'), 'c10950');
  const cbor = await coap('get', '/3/0/9', '-A', '112');
  assert.deepEqual(decodeNodes(112, cbor, [3, 0, 9]), [{ path: [3, 0, 9], value: 80 }]);
});

test('libcoap discovers', async () => {
  const links = (await coap('get', '/14/0', '-A', '40')).toString();
  assert.equal(links, '</14/0>,</14/0/0>,</14/0/1>,</14/0/2>');
});

test('libcoap writes and executes', async () => {
  await coap('put', '/3/0/14', '-e', '+11:00');
  assert.equal(device.values.get(14), '+11:00');
  await coap('put', '/3/0/14', '-t', '110', '-e', '[{"n":"/3/0/14","vs":"+12:00"}]');
  assert.equal(device.values.get(14), '+12:00');
  await coap('post', '/3/0/4', '-e', '5');
  assert.deepEqual([...(device.executed[0]?.[1].values ?? [])], [[5, '']]);
});

test('libcoap is refused what it may not have', async () => {
  assert.match((await coap('get', '/0/0')).toString(), /^4\.01/);
  assert.match((await coap('get', '/3/0/99')).toString(), /^4\.04/);
  assert.match((await coap('put', '/3/0/0', '-e', 'x')).toString(), /^4\.05/);
  assert.match((await coap('put', '/3/0/13', '-e', 'soon')).toString(), /^4\.00/);
});

test('libcoap observes', async () => {
  const child = spawn(coapClient, ['-s', '20', '-w', uri('/3/0/9')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const exited = once(child, 'exit');
  try {
    await eventually(() => output.includes('80'), 'the first value');
    for (const level of [79, 78]) {
      device.values.set(9, level);
      device.instance.changed(9);
      await eventually(() => output.includes(String(level)), `a notification of ${level}`);
    }
    assert.deepEqual(output.split(/\s+/).filter(Boolean), ['80', '79', '78']);
  } finally {
    child.kill();
    await exited;
  }
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { blockOption, Code, OptionNumber, uintValue, uriPathOptions } from '@mbl/coap';
import { enrol, TestDevice } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

describe('what a peer may hold at the LwM2M edge', { timeout: 240_000 }, () => {
  let service: TestService;
  before(async () => {
    service = await TestService.start();
  });
  after(() => service[Symbol.asyncDispose]());

  /** Sends one BERT block of a registration that is not its last. */
  const park = (device: TestDevice, number: number, kibibytes: number) =>
    device.peer.request({
      code: Code.POST,
      options: [
        ...uriPathOptions('/rd'),
        blockOption(OptionNumber.BLOCK1, { number, more: true, sizeExponent: 7 }),
      ],
      payload: new Uint8Array(kibibytes * 1024),
    });

  test('a connection that begins no handshake, or does not end it, is closed', async () => {
    const { lwm2m } = service.service.file.ports;
    const closed = async (first: string) => {
      const socket = connect(lwm2m, '127.0.0.1');
      socket.on('error', () => {});
      try {
        await once(socket, 'connect');
        socket.write(Buffer.from(first, 'hex'));
        socket.resume();
        await once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
      } finally {
        socket.destroy();
      }
    };
    // Nothing, and the beginning of a TLS record.
    await Promise.all([closed(''), closed('1603010200')]);
  });

  test('unfinished uploads: 256 KiB for a device', async () => {
    await using device = await TestDevice.connect(service, await enrol(service, 'hoarder'));
    assert.equal((await park(device, 0, 256)).code, Code.CONTINUE);
    const refused = await park(device, 256, 1);
    assert.equal(refused.code, Code.REQUEST_ENTITY_TOO_LARGE);
    assert.equal(uintValue(refused.options, OptionNumber.SIZE1), 256 * 1024);
    // What others hold by then is theirs.
    await device.registerAgain();
  });

  test('unfinished uploads: 16 MiB for all devices, whose oldest gives way', async () => {
    await using devices = new AsyncDisposableStack();
    const open = async (name: string) =>
      devices.use(await TestDevice.connect(service, await enrol(service, name)));
    const [first, second] = [await open('first'), await open('second')];
    for (const device of [first, second]) assert.equal((await park(device, 0, 255)).code, Code.CONTINUE);
    for (let n = 0; n < 63; n++) {
      assert.equal((await park(await open(`of-many-${n}`), 0, 256)).code, Code.CONTINUE);
    }
    assert.equal((await park(first, 255, 1)).code, Code.REQUEST_ENTITY_INCOMPLETE);
    assert.equal((await park(second, 255, 1)).code, Code.CONTINUE);
  });
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  blockOption,
  Code,
  ContentFormat,
  OptionNumber,
  SeededRandom,
  SimulatedClock,
  SimulatedStream,
  uriPathOptions,
} from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import { firmwareUpdateModel } from '../model/object-5-firmware-update.ts';
import { Lwm2mServer } from '../server/server.ts';
import type { Registration } from '../server/registration.ts';
import { Lwm2mClient } from './client.ts';
import type { ValueSink } from './instance.ts';
import { objectInstance } from './object-instance.ts';
import { serverObject } from './server-object.ts';

/** A client whose Package (5/0/0) is a stream, registered; what came of it, and what is thrown there. */
async function packaged() {
  const came: string[] = [];
  const throws: { open?: Error; write?: Error; end?: Error } = {};
  const step = async (error: Error | undefined) =>
    await (error === undefined ? Promise.resolve() : Promise.reject(error));
  const sink: ValueSink = {
    write: async (bytes) => {
      await step(throws.write);
      came.push(`write ${bytes.length}`);
    },
    end: async () => {
      await step(throws.end);
      came.push('end');
    },
    abort: (reason) => void came.push(`abort ${reason.message}`),
  };
  const update = { execute: () => undefined };
  const instance = objectInstance(firmwareUpdateModel, 0, {
    package: {
      write: (value) => void came.push(`whole ${value.length}`),
      stream(size) {
        if (throws.open !== undefined) throw throws.open;
        came.push(`open ${size}`);
        return sink;
      },
    },
    packageUri: { read: () => '', write: (value) => void came.push(`uri ${value.length}`) },
    update,
    state: 0,
    updateResult: 0,
    firmwareUpdateDeliveryMethod: 2,
  });
  const clock = new SimulatedClock();
  const client = new Lwm2mClient({
    endpointName: 'board',
    objects: [serverObject({ lifetime: 300 }), instance],
    clock,
  });
  const server = new Lwm2mServer<string>({ authorize: () => undefined, location: () => 'rd/1', clock });
  const limits = { maxBodySize: 8192, maxUploadBytes: 8192 };
  const { handler, openBody } = client;
  const stream = new SimulatedStream(
    clock,
    new SeededRandom(7),
    { handler, openBody, limits, maxMessageSize: 5000 },
    { handler: server.handler('board') },
  );
  stream.start();
  await clock.until(client.attach(stream.client.peer));
  const [board] = server.registrations;
  assert.ok(board);
  const run = async <T>(act: (board: Registration<string>) => Promise<T>) => await clock.until(act(board));
  return { came, throws, run, instance };
}

const large = new Uint8Array(20_000);

test('a value over every limit goes to its resource in pieces; one in a single message goes there whole', async () => {
  const { came, run } = await packaged();
  await run((board) => board.write('/5/0/0', large));
  assert.deepEqual([came[0], came.at(-1)], ['open 20000', 'end']);
  const pieces = came.slice(1, -1).map((line) => Number(/^write (\d+)$/.exec(line)?.[1]));
  assert.equal(
    pieces.reduce((all, one) => all + one, 0),
    20_000,
  );
  came.length = 0;
  await run((board) => board.write('/5/0/0', new Uint8Array(1)));
  assert.deepEqual(came, ['whole 1']);
});

test('what has a frame, is no such resource or is not there is put together as before', async () => {
  const { came, run } = await packaged();
  const refused = async (path: string, contentFormat?: number, value: Uint8Array | string = large) => {
    const error = await run(async (board) => {
      const options = contentFormat === undefined ? {} : { contentFormat };
      return await board.write(path, value, options).then(
        () => undefined,
        (cause: unknown) => cause,
      );
    });
    assert.ok(error instanceof Lwm2mError);
    return error.status;
  };
  assert.equal(await refused('/5/0/0', ContentFormat.LWM2M_TLV), Code.REQUEST_ENTITY_TOO_LARGE);
  assert.equal(await refused('/5/1/0', ContentFormat.OCTET_STREAM), Code.NOT_FOUND);
  assert.equal(
    await refused('/5/0/1', ContentFormat.TEXT, 'x'.repeat(20_000)),
    Code.REQUEST_ENTITY_TOO_LARGE,
  );
  assert.deepEqual(came, []);
});

test('a stream is refused before it begins, in the middle and at its end, as a write is', async () => {
  const { came, throws, run } = await packaged();
  const refusal = (status: number) => new Lwm2mError('test/no', 'not now', { status });
  const refused = async (status: number) =>
    await assert.rejects(
      run((board) => board.write('/5/0/0', large)),
      { name: 'Lwm2mError', status },
    );
  throws.open = refusal(Code.METHOD_NOT_ALLOWED);
  await refused(Code.METHOD_NOT_ALLOWED);
  throws.open = new Error('a secret');
  await refused(Code.INTERNAL_SERVER_ERROR);
  delete throws.open;
  throws.write = refusal(Code.REQUEST_ENTITY_TOO_LARGE);
  await refused(Code.REQUEST_ENTITY_TOO_LARGE);
  delete throws.write;
  throws.end = refusal(Code.BAD_REQUEST);
  await refused(Code.BAD_REQUEST);
  assert.ok(!came.includes('end'));
});

test('a first block with an option that is no UTF-8 is answered, and ends no connection', async () => {
  const { came, run } = await packaged();
  const bad = { number: OptionNumber.URI_QUERY, value: Uint8Array.of(0xff) };
  const segment = { number: OptionNumber.URI_PATH, value: Uint8Array.of(0xff) };
  const first = blockOption(OptionNumber.BLOCK1, { number: 0, more: true, sizeExponent: 0 });
  for (const options of [
    [...uriPathOptions('/5/0/0'), bad, first],
    [segment, first],
  ]) {
    const request = { code: Code.PUT, options, payload: new Uint8Array(16) };
    const answer = await run(async (board) => await board.peer.request(request, { timeoutMs: 1000 }));
    assert.equal(answer.code, Code.BAD_OPTION);
  }
  await run(async (board) => await board.write('/5/0/0', large));
  assert.equal(came.at(-1), 'end');
});

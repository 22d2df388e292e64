// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesToSign, formatMetadata, mostBytes, readMetadata } from './metadata.ts';

const signed = {
  _type: 'timestamp',
  spec_version: '1.0.31',
  version: 1,
  expires: '2028-01-01T00:00:00Z',
  meta: { 'snapshot.json': { version: 1 } },
};

const read = (change: object, space = 0) =>
  readMetadata(
    'timestamp',
    Buffer.from(JSON.stringify({ signatures: [], signed: { ...signed, ...change } }) + ' '.repeat(space)),
    'timestamp',
  );

test('what is signed is the canonical form, with members that this program does not know', () => {
  const metadata = read({ more: { b: 'x"\\y', a: [true, null, 0] } });
  assert.equal(
    bytesToSign(metadata).toString(),
    '{"_type":"timestamp","expires":"2028-01-01T00:00:00Z","meta":{"snapshot.json":{"version":1}},' +
      '"more":{"a":[true,null,0],"b":"x\\"\\\\y"},"spec_version":"1.0.31","version":1}',
  );
  const again = readMetadata('timestamp', formatMetadata(metadata), 'timestamp');
  assert.deepEqual(bytesToSign(again), bytesToSign(metadata));
});

test('metadata that is made to cost memory is not parsed', () => {
  const content = Buffer.from(`[${'[],'.repeat(1_000_000)}0]`);
  assert.throws(() => readMetadata('targets', content, 'targets'), {
    code: 'release/bad-metadata',
    message: /more than 262144 values/,
  });
});

test('metadata that is too long, of another kind, of no version or that nobody could sign is refused', () => {
  read({}, 100);
  const refused = (message: RegExp, change: object, space = 0) =>
    assert.throws(() => read(change, space), { code: 'release/bad-metadata', message });
  refused(/more than 16384 bytes/, {}, mostBytes.timestamp);
  for (const version of [0, -1, 1.5, 2 ** 60]) refused(/version must be a whole number/, { version });
  refused(/version must be a number/, { version: '1' });
  refused(/expected 'timestamp'/, { _type: 'snapshot' });
  refused(/specVersion/, { spec_version: '2.0' });
  refused(/expires/, { expires: 'tomorrow' });
  refused(/cannot encode/, { more: 1.5 });
  assert.throws(() => readMetadata('root', Buffer.from([0xff, 0xfe]), 'root'), {
    code: 'release/bad-metadata',
  });
});

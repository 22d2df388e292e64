// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Code, contentFormatOption, encodeTcpFrame, uriPathOptions, uriQueryOptions } from '@mbl/coap';
import { enrol, objects, TestDevice, type TestIdentity } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

const accepted = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES128-CCM',
  'ECDHE-ECDSA-AES128-CCM8',
  'ECDHE-ECDSA-AES128-SHA256',
];

describe('what a device may encrypt with, by openssl s_client', { timeout: 300_000 }, () => {
  let service: TestService;
  let identity: TestIdentity;
  let files: string[];

  before(async () => {
    service = await TestService.start();
    identity = await enrol(service, 'foreign');
    const [cert, key] = [join(service.directory, 'foreign.pem'), join(service.directory, 'foreign.key')];
    await writeFile(cert, identity.cert);
    await writeFile(key, identity.key);
    files = ['-cert', cert, '-key', key, '-CAfile', service.service.file.trust, '-verify_return_error'];
  });
  after(() => service[Symbol.asyncDispose]());

  /** Registers as a client that has only these suites; gives what openssl says of the handshake, and the answer's bytes. */
  async function register(...options: string[]): Promise<{ suite: string; said: string; answer: Buffer }> {
    const port = service.service.file.ports.lwm2m;
    const args = [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-servername',
      'service.mbl.internal',
      ...files,
    ];
    const client = spawn('openssl', [...args, '-nocommands', '-ign_eof', '-brief', ...options]);
    const answer: Buffer[] = [];
    let said = '';
    client.stdin.on('error', () => {});
    client.stdout.on('data', (bytes: Buffer) => {
      answer.push(bytes);
      if (Buffer.concat(answer).includes(registered)) client.kill();
    });
    client.stderr.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
    const token = Buffer.from('7a', 'hex');
    const none = new Uint8Array();
    client.stdin.write(encodeTcpFrame({ code: Code.CSM, token: none, options: [], payload: none }));
    const query = uriQueryOptions(['ep=foreign', 'lt=300', 'lwm2m=1.0']);
    client.stdin.write(
      encodeTcpFrame({
        code: Code.POST,
        token,
        options: [...uriPathOptions(['rd']), contentFormatOption(40), ...query],
        payload: Buffer.from(objects),
      }),
    );
    await once(client, 'close');
    return { suite: /^Ciphersuite: (.*)$/m.exec(said)?.[1] ?? '', said, answer: Buffer.concat(answer) };
  }
  /** 2.01 and the request's token. */
  const registered = Buffer.from('417a', 'hex');

  test('each suite of LwM2M, and what is better', async () => {
    for (const suite of accepted) {
      const { answer, ...handshake } = await register('-tls1_2', '-cipher', `${suite}:@SECLEVEL=0`);
      assert.equal(handshake.suite, suite, handshake.said);
      assert.ok(answer.includes(registered), `${suite}: ${answer.toString('hex')}`);
    }
    assert.equal((await register('-tls1_3')).suite, 'TLS_AES_256_GCM_SHA384');
  });

  test('the best that both have, whatever the client would rather', async () => {
    const list = ['ECDHE-ECDSA-AES128-CCM8', 'ECDHE-ECDSA-AES128-GCM-SHA256', '@SECLEVEL=0'].join(':');
    assert.equal((await register('-tls1_2', '-cipher', list)).suite, 'ECDHE-ECDSA-AES128-GCM-SHA256');
    const all = await register('-cipher', 'ALL:@SECLEVEL=0');
    assert.equal(all.suite, 'TLS_AES_256_GCM_SHA384');
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      await using ours = await TestDevice.register(service, identity, { maxVersion });
      assert.match(ours.socket.getCipher().name, /GCM|CHACHA20/);
    }
  });

  test('nothing else: no other suite, no older version, no signature by SHA-1', async () => {
    const others = ['ALL', 'COMPLEMENTOFALL', ...accepted.map((suite) => `!${suite}`), '@SECLEVEL=0'].join(
      ':',
    );
    const { stdout } = await promisify(execFile)('openssl', ['ciphers', '-tls1_2', others]);
    assert.ok(stdout.split(':').length > 50, 'that many are offered');
    for (const options of [
      ['-tls1_2', '-cipher', others],
      ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1', '-cipher', 'ALL:@SECLEVEL=0'],
      ['-tls1_2', '-cipher', 'ALL:@SECLEVEL=0', '-sigalgs', 'ECDSA+SHA1'],
      ['-tls1_3', '-ciphersuites', 'TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256'],
    ]) {
      const { suite, said, answer } = await register(...options);
      assert.equal(suite, '', options.join(' '));
      assert.match(said, /alert|wrong version|unsupported/, options.join(' '));
      assert.equal(answer.length, 0);
    }
  });
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Code, contentFormatOption, encodeTcpFrame, uriPathOptions, uriQueryOptions } from '@mbl/coap';
import { enrol, objects } from '../../testing/device.ts';
import { TestService } from '../../testing/service.ts';

/** A resumed session would carry the verdict of an earlier handshake: a certificate may have been revoked since. */
describe('sessions are not resumed, by openssl s_client', { timeout: 300_000 }, () => {
  let service: TestService;
  let args: string[];

  before(async () => {
    service = await TestService.start();
    const identity = await enrol(service, 'resumer');
    const [cert, key] = [join(service.directory, 'resumer.pem'), join(service.directory, 'resumer.key')];
    await writeFile(cert, identity.cert);
    await writeFile(key, identity.key);
    const { ports, trust } = service.service.file;
    const host = ['-connect', `127.0.0.1:${ports.lwm2m}`, '-servername', 'service.mbl.internal'];
    args = [
      ...host,
      '-cert',
      cert,
      '-key',
      key,
      '-CAfile',
      trust,
      '-verify_return_error',
      '-nocommands',
      '-ign_eof',
    ];
  });
  after(() => service[Symbol.asyncDispose]());

  /** 2.01 and the request's token, which is no text: openssl writes certificates beside it. */
  const registered = Buffer.from('41ff00fe01', 'hex');

  /** Runs openssl until it is registered; gives what it says. */
  async function register(options: readonly string[]): Promise<string> {
    const client = spawn('openssl', ['s_client', ...args, ...options]);
    const said: Buffer[] = [];
    client.stdin.on('error', () => {});
    const hear = (bytes: Buffer) => {
      said.push(bytes);
      // A session that it could use again comes before the answer, and is written when it ends by itself.
      if (Buffer.concat(said).includes(registered)) client.stdin.destroy();
    };
    client.stdout.on('data', hear);
    client.stderr.on('data', hear);
    const none = new Uint8Array();
    const query = uriQueryOptions(['ep=resumer', 'lt=300', 'lwm2m=1.1']);
    const request = {
      code: Code.POST,
      token: Buffer.from('ff00fe01', 'hex'),
      options: [...uriPathOptions(['rd']), contentFormatOption(40), ...query],
      payload: Buffer.from(objects),
    };
    const begin = () => {
      client.stdin.write(encodeTcpFrame({ code: Code.CSM, token: none, options: [], payload: none }));
      client.stdin.write(encodeTcpFrame(request));
    };
    begin();
    const over = once(client, 'close');
    const enough = AbortSignal.timeout(60_000);
    while (!Buffer.concat(said).includes(registered)) {
      await Promise.race([over, once(client.stdout, 'data', { signal: enough })]);
      if (client.exitCode !== null) break;
    }
    client.kill();
    await over;
    return Buffer.concat(said).toString('latin1');
  }

  for (const version of ['-tls1_2', '-tls1_3']) {
    test(`${version}: a client that offers its session again goes through a full handshake, and registers`, async () => {
      const file = join(service.directory, `session${version}`);
      const first = await register([version, '-sess_out', file]);
      assert.match(first, /^New, TLSv1\.[23], Cipher is /m);
      assert.ok(first.includes(registered.toString('latin1')));
      // Without a session to offer there is no attempt.
      await access(file);
      const again = await register([version, '-sess_in', file]);
      assert.match(again, /^New, TLSv1\.[23], Cipher is /m);
      assert.doesNotMatch(again, /^Reused/m);
      assert.ok(again.includes(registered.toString('latin1')), again);
    });
  }

  test('five times in a row with -reconnect', async () => {
    const said = await register(['-tls1_2', '-reconnect']);
    assert.equal(said.match(/^New, TLSv1\.2, Cipher is /gm)?.length, 6, said);
    assert.doesNotMatch(said, /^Reused/m);
    assert.ok(said.includes(registered.toString('latin1')));
  });
});

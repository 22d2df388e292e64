// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestService } from '../../testing/service.ts';

test('API keys: made, used, disabled, deleted; the first one stays over a restart', async () => {
  await using service = await TestService.start();
  const path = join(service.directory, 'service.json');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), service.service.file);

  const made = await service.call('POST', '/v3/api-keys', { name: 'ci' });
  assert.equal(made.status, 201);
  assert.match(made.body.key, /^ak_1/);
  const bearer = { authorization: `Bearer ${made.body.key}` };
  const me = await service.call('GET', '/v3/api-keys/me', undefined, bearer);
  assert.equal(me.body.id, made.body.id);
  assert.notEqual(me.body.key, made.body.key, 'shown once');
  assert.ok(me.body.last_login_time > 0);

  const renamed = await service.call('PUT', '/v3/api-keys/me', { name: 'ci 2', groups: [] }, bearer);
  assert.deepEqual(
    [renamed.status, renamed.body.id, renamed.body.name, renamed.body.groups],
    [200, made.body.id, 'ci 2', []],
  );
  const itself = await service.call('PUT', '/v3/api-keys/me', { status: 'INACTIVE' }, bearer);
  assert.deepEqual([itself.status, itself.body.fields[0].name], [400, 'status']);
  assert.equal((await service.call('PUT', '/v3/api-keys/me', { groups: ['7'] }, bearer)).status, 400);
  const keyPath = `/v3/api-keys/${made.body.id}`;
  assert.equal((await service.call('PUT', keyPath, { status: 'INACTIVE' })).status, 200);
  const refused = await service.call('GET', '/v3/devices', undefined, bearer);
  assert.equal(refused.status, 401);
  assert.equal(refused.body.type, 'invalid_auth');
  assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
  assert.equal(
    (await service.call('GET', '/v2/endpoints', undefined, { authorization: 'Bearer x' })).status,
    401,
  );
  for (const wrong of ['', 'Bearer', `Bearer ak_1${'A'.repeat(43)}`, `Basic ${btoa('a:b')}`]) {
    assert.equal((await service.call('GET', '/v3/devices', undefined, { authorization: wrong })).status, 401);
  }
  assert.equal((await service.call('DELETE', keyPath)).status, 204);
  assert.equal((await service.get(keyPath)).status, 404);

  const { apiKey } = service.service.file;
  await service.restart();
  assert.equal(service.service.file.apiKey, apiKey);
  assert.equal((await service.get('/v3/api-keys?include=total_count')).body.total_count, 1);
});

test('the description of the API is public and complete', async () => {
  await using service = await TestService.start();
  const { status, body } = await service.call('GET', '/v3/openapi.json', undefined, { authorization: '' });
  assert.equal(status, 200);
  assert.equal(body.openapi, '3.1.0');
  assert.ok(body.paths['/v3/devices/{id}'].put.requestBody);
  assert.ok(body.components.schemas.Device);
  const health = await service.call('GET', '/v3/health', undefined, { authorization: '' });
  assert.deepEqual(health.body, { object: 'health', status: 'ok' });
  assert.equal((await service.get('/v3/nothing')).body.type, 'not_found');
  const typed = await service.call('GET', '/v3/devices', undefined, { 'content-type': 'application/json' });
  assert.equal(typed.status, 200);
});

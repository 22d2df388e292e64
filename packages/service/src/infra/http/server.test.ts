// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestService } from '../../testing/service.ts';

const methods = ['DELETE', 'GET', 'OPTIONS', 'PATCH', 'POST', 'PUT'];

/** Where a name of our own stands in the place of an id: the other path's methods reach it, too. */
const alsoAnId = new Map([['/v3/api-keys/me', '/v3/api-keys/{id}']]);

test('a method that a path does not have is answered with those that it has', async () => {
  await using service = await TestService.start();
  const { paths } = (await service.get('/v3/openapi.json')).body as { paths: Record<string, object> };
  const methodsOf = (path: string | undefined) =>
    Object.keys(paths[path ?? ''] ?? {}).map((method) => method.toUpperCase());
  let checked = 0;
  for (const path of Object.keys(paths)) {
    const own = [...methodsOf(path), ...methodsOf(alsoAnId.get(path))];
    const allowed = [...new Set([...own, ...(own.includes('GET') ? ['HEAD'] : [])])].toSorted();
    const url = path.replaceAll(/\{[^}]*\}/g, '7');
    for (const method of methods) {
      if (own.includes(method)) continue;
      const answer = await service.call(method, url);
      assert.equal(answer.status, 405, `${method} ${url}`);
      assert.equal(answer.headers.get('allow'), allowed.join(', '), `${method} ${url}`);
      checked += 1;
    }
  }
  assert.ok(checked > 100, `${checked} refusals`);

  const v3 = await service.call('PATCH', '/v3/devices/7/', { a: 1 });
  assert.deepEqual([v3.status, v3.body.type], [405, 'method_not_allowed']);
  const v2 = await service.call('PATCH', '/v2/subscriptions');
  assert.match(v2.body, /^There is no PATCH \/v2\/subscriptions/);
  const nothing = await service.call('PATCH', '/v3/nothing');
  assert.deepEqual([nothing.status, nothing.headers.get('allow')], [404, null]);
  const stranger = await service.call('PATCH', '/v3/devices', undefined, { authorization: '' });
  assert.deepEqual([stranger.status, stranger.headers.get('allow')], [401, null]);
});

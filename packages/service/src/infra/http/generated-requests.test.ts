// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import { enrol, TestDevice } from '../../testing/device.ts';
import { answerByMood, moodyPaths } from '../../testing/moody-device.ts';
import { TestService } from '../../testing/service.ts';

interface Operation {
  parameters?: { name: string; in: string; schema: JsonSchema }[];
  requestBody?: { content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, { content?: Record<string, { schema: JsonSchema }> }>;
}
type JsonSchema = Record<string, unknown>;
interface Description {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema> };
}

interface Request {
  key: string;
  type: string | undefined;
  body: string | undefined;
  query: [string, string][];
  /** For the variable parts of the path. */
  ids: readonly [string, string, string];
}

/** Bodies near to what the routes take, so that some get past the first check. */
const members = {
  name: fc.string({ maxLength: 130 }),
  status: fc.constantFrom('ACTIVE', 'INACTIVE', 'ended'),
  endpoint_name: fc.constantFrom('board-1', 'board 1', ''),
  expires_at: fc.constantFrom('2030-01-01T00:00:00Z', 'soon', '2027-01-01T00:00:00+25:00'),
  category: fc.constantFrom('other', 'none'),
  description: fc.string(),
  reason: fc.string(),
  value: fc.oneof(fc.string(), fc.double(), fc.boolean()),
  method: fc.constantFrom('GET', 'PUT', 'BREW'),
  uri: fc.constantFrom('/3/0/0', '3', '/'),
  release: fc.constantFrom('1.0', '', '../x'),
  repository: fc.constantFrom('https://mirror.example/', 'https://x/#1', 'no'),
  command: fc.array(fc.string(), { maxLength: 2 }),
  lines: fc.constantFrom(1, 0, 201, 1.5),
  resources: fc.array(fc.record({ path: fc.constantFrom('/3/0/1', 'x'), value: fc.string() }), {
    maxLength: 2,
  }),
  custom_attributes: fc.dictionary(fc.string(), fc.string(), { maxKeys: 6 }),
};
const bodies = fc.oneof(
  fc.constant(undefined),
  fc
    .subarray(Object.keys(members) as (keyof typeof members)[], { maxLength: 4 })
    .chain((names) =>
      fc
        .record(Object.fromEntries(names.map((name) => [name, members[name]])))
        .map((one) => JSON.stringify(one)),
    ),
  fc.json(),
  fc.constantFrom(
    '',
    '{',
    '{"__proto__":1}',
    '{"name":"a\\u0000b"}',
    '[{"endpoint-name":"a"}]',
    '{"name":"\\ud800"}',
  ),
);

/** For the routes that a device answers: bodies and queries that reach it more often than not. */
const deviceBodies = fc.oneof(
  fc.constantFrom(
    undefined,
    '{}',
    '{"value":"a"}',
    '{"value":"a"}',
    '{"arguments":"0"}',
    '{"resources":[{"path":"/3/0/14","value":"+01"}]}',
    '{"resources":[{"path":"/3/0/0","value":"a"}],"mode":"replace"}',
  ),
  fc.constantFrom(...moodyPaths).map((path) => `{"method":"GET","uri":"/${path}"}`),
  bodies,
);

const wrongIds = fc.constantFrom('7', 'me', '%00', '%ZZ', '%2e%2e', 'a'.repeat(600), '%F0%9F%9A%80');
/** Of a team or an app, and what an app is to do. */
const names = fc.constantFrom('weather', 'Weather', 'os', 'kernel', 'a'.repeat(40));
const actions = fc.constantFrom('stop', 'log', 'run', 'rollback', 'explode');
const resources = fc.constantFrom('3/0/0', '3/0/1', '3/0', '3', '0/0/x', '65536/0/0', '3/0/0/0/0');
const values = fc.oneof(
  fc.constantFrom(
    '1',
    '0',
    'true',
    'ASC',
    'total_count',
    '2027-01-01T00:00:00Z',
    '%',
    '\0',
    '2147483648',
    'name=1&x',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);

/** With a `device`, requests that mostly are about that one. */
function requests({ parameters = [] }: Operation, realIds: string[], device?: string): fc.Arbitrary<Request> {
  const named = parameters.some((one) => one.in === 'path' && ['team', 'app'].includes(one.name));
  const queried = parameters.filter((one) => one.in === 'query').map((one) => one.name);
  const name = fc.oneof(fc.constantFrom(...queried, 'unknown'), fc.string({ maxLength: 9 }));
  const id = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('7', ...realIds) },
    wrongIds,
    ...(device === undefined ? [] : [{ weight: 12, arbitrary: fc.constant(device) }]),
  );
  const query = fc.array(fc.tuple(name, values), { maxLength: device === undefined ? 3 : 1 });
  const needed = queried.includes('async-id') ? [['async-id', 'mine']] : [];
  return fc.record({
    key: fc.oneof(
      { weight: 9, arbitrary: fc.constant('good') },
      fc.constantFrom('', 'Basic eDp5', 'Bearer ak_1x'),
    ),
    type: fc.oneof(
      { weight: 5, arbitrary: fc.constant('application/json') },
      fc.constantFrom(
        undefined,
        'text/plain',
        'nonsense',
        'application/json; charset=utf-16',
        'application/xml',
      ),
    ),
    body: device === undefined ? bodies : deviceBodies,
    query: fc.oneof(
      query,
      query.map((more) => [...needed, ...more] as [string, string][]),
    ),
    ids: fc.tuple(
      id,
      named ? names : device === undefined ? resources : fc.oneof(fc.constantFrom(...moodyPaths), resources),
      actions,
    ),
  });
}

/** A schema of the document as a check: the description, not the code, says what fits. */
function check(schema: JsonSchema, { components }: Description): z.ZodType {
  const inPlace = JSON.parse(
    JSON.stringify({ ...schema, $defs: components.schemas }).replaceAll('#/components/schemas/', '#/$defs/'),
  ) as Parameters<typeof z.fromJSONSchema>[0];
  return z.fromJSONSchema(inPlace);
}

async function fill(service: TestService): Promise<string[]> {
  const code = await service.call('POST', '/v3/device-enrolment-codes', { endpoint_name: 'board-0' });
  const device = await service.call('POST', '/v3/devices', { endpoint_name: 'board-2' });
  const key = await service.call('POST', '/v3/api-keys', { name: 'another' });
  const event = await service.get('/v3/device-events?limit=2');
  return [code.body.id, code.body.device_id, device.body.id, key.body.id, event.body.data[0].id];
}

test('every route answers generated requests as the description says, and fails at none', async (t) => {
  const seed = Number(process.env.MBL_TEST_SEED ?? 8);
  t.diagnostic(`MBL_TEST_SEED=${seed}`);
  await using service = await TestService.start();
  const description = (await service.get('/v3/openapi.json')).body as Description;
  const ids = await fill(service);
  const checks = new Map<JsonSchema, z.ZodType>();
  const identity = await enrol(service, 'board-3');
  await using device = await TestDevice.register(service, identity, { handler: answerByMood });
  const seen = new Set<number>();
  const fromDevice = new Set<number>();
  let sent = 0;

  for (const [path, operations] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      // Held open for 25 s when nothing happens.
      if (path === '/v2/notification/pull' && method === 'get') continue;
      // Ends what the others ask about: by wrong ids only.
      const answered = /resources\/|device-requests|endpoints\/|subscriptions\//.test(path);
      const ending = method === 'delete' || /\/(suspend|revoke|rearm)$/.test(path);
      await fc.assert(
        fc.asyncProperty(
          requests(operation, ending ? [] : ids, answered ? identity.deviceId : undefined),
          async ({ key, type, body, query, ids: parts }) => {
            const url = parts.reduce((rest, part) => rest.replace(/\{[^}]*\}/, part), path);
            const search = new URLSearchParams(query).toString();
            const asked = `${method.toUpperCase()} ${url}?${search} ${type} ${body}`;
            const answer = await service.call(
              method.toUpperCase(),
              `${url}?${search}`,
              method === 'get' || body === undefined ? undefined : body,
              {
                ...(key === 'good' ? {} : { authorization: key }),
                ...(type === undefined ? {} : { 'content-type': type }),
              },
            );
            sent += 1;
            seen.add(answer.status);
            if (answered) fromDevice.add(answer.status);
            // What cannot be decoded, is too long or is a name of another route asks for that or for none.
            const elsewhere = /%ZZ|%2e%2e|a{600}|\/me$/.test(url);
            const declared = operation.responses[answer.status];
            if (elsewhere && declared === undefined)
              return assert.ok([400, 404, 405, 414].includes(answer.status), asked);
            assert.ok(declared !== undefined, `${asked}: ${answer.status} ${JSON.stringify(answer.body)}`);
            assert.ok(answer.status !== 500, `${asked}: ${JSON.stringify(answer.body)}`);
            if (elsewhere) return;
            const content = answer.headers.get('content-type')?.split(';')[0];
            if (answer.body === '') return;
            const schema = declared.content?.[content ?? '']?.schema;
            assert.ok(schema !== undefined, `${asked}: ${answer.status} with ${content}`);
            const wanted = checks.get(schema) ?? check(schema, description);
            checks.set(schema, wanted);
            const fits = wanted.safeParse(answer.body);
            assert.ok(
              fits.success,
              `${asked}: ${answer.status} ${JSON.stringify(answer.body)} ${fits.error}`,
            );
          },
        ),
        { seed, numRuns: 25, includeErrorInReport: true },
      );
    }
  }
  assert.ok(sent > 500, `${sent} requests`);
  for (const status of [200, 201, 202, 204, 400, 401, 404, 415])
    assert.ok(seen.has(status), `no ${status} in ${[...seen].join(', ')}`);
  const resource = '/v3/devices/{id}/resources/{*}';
  for (const path of moodyPaths) {
    const answer = await service.get(`/v3/devices/${identity.deviceId}/resources/${path}`);
    assert.ok(description.paths[resource]?.['get']?.responses[answer.status], `${path}: ${answer.status}`);
    fromDevice.add(answer.status);
  }
  t.diagnostic(`${sent} requests; of the device: ${[...fromDevice].toSorted((a, b) => a - b).join(', ')}`);
  for (const status of [200, 202, 204, 400, 403, 404, 405, 413, 415, 502, 503])
    assert.ok(fromDevice.has(status), `no ${status} at the routes that a device answers`);
  assert.equal(device.peer.closed.aborted, false, 'the device is connected to the end');
});

test('a body that is too long, or of another type, is refused as the description says', async () => {
  await using service = await TestService.start();
  const { paths } = (await service.get('/v3/openapi.json')).body as Description;
  let checked = 0;
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (operation.requestBody === undefined) continue;
      const url = path.replaceAll(/\{[^}]*\}/g, '7');
      const long = await service.call(method.toUpperCase(), url, `"${'a'.repeat(1_500_000)}"`);
      assert.equal(long.status, 413, `${method} ${path}`);
      const other = await service.call(method.toUpperCase(), url, '{}', { 'content-type': 'text/plain' });
      assert.equal(other.status, 415, `${method} ${path}`);
      for (const status of ['413', '415'])
        assert.ok(status in operation.responses, `${method} ${path} ${status}`);
      checked += 1;
    }
  }
  assert.ok(checked > 10, `${checked} routes`);
});

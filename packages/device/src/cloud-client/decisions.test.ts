// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLog } from '../common/log.ts';
import { Backoff } from './backoff.ts';
import { classifyFailure, isCertificateRefused } from './failure.ts';
import type { Identity } from './identity.ts';
import { planStep } from './planner.ts';

const day = 86_400_000;
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

function identity(end: number, enrolled: number): Identity {
  const certificate = { validToDate: new Date(end) } as X509Certificate;
  return { key, certificate, deviceId: '', accountId: '', enrolledAt: new Date(enrolled) };
}

test('the next step', () => {
  const year = identity(365 * day, 0);
  const week = identity(7 * day, 0);
  assert.equal(planStep({}, 0).do, 'create-key');
  assert.equal(planStep({ damage: 'x' }, 0).do, 'create-key');
  assert.equal(planStep({ key }, 0).do, 'enrol');
  assert.equal(planStep({ key, identity: year }, 0).do, 'connect');
  assert.equal(planStep({ key, identity: year }, 334 * day).do, 'connect');
  assert.equal(planStep({ key, identity: year }, 336 * day).do, 'renew');
  assert.equal(planStep({ key, identity: year }, 400 * day).do, 'renew');
  assert.equal(planStep({ key, identity: week }, 4 * day).do, 'connect');
  assert.equal(planStep({ key, identity: week }, 5 * day).do, 'renew');
  assert.deepEqual(planStep({ key, identity: year }, 0, { certificateRefused: true }), { do: 'enrol', key });
  assert.equal(planStep({}, 0, { certificateRefused: true }).do, 'create-key');
});

test('a renewal that failed waits an hour, also when the clock jumps', () => {
  const due = { key, identity: identity(365 * day, 0) };
  const now = 340 * day;
  assert.equal(planStep(due, now, { renewalTriedAt: now - 59 * 60_000 }).do, 'connect');
  assert.equal(planStep(due, now, { renewalTriedAt: now - 61 * 60_000 }).do, 'renew');
  assert.equal(planStep(due, now, { renewalTriedAt: 5000 }).do, 'renew');
});

test('backoff doubles its bound up to the longest, uses all of it, and begins anew after a success', () => {
  const most = new Backoff({ firstMs: 1000, random: () => 0.999999 });
  const delays = Array.from({ length: 8 }, () => most.next(60_000));
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  most.reset();
  assert.equal(most.next(60_000), 1000);
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.nat(100),
      (random, count) => {
        const backoff = new Backoff({ firstMs: 1000, random: () => random });
        for (let i = 0; i < count; i++) assert.ok(backoff.next(60_000) <= 60_000);
      },
    ),
  );
});

test('failures: no network, a refusal, anything else', () => {
  const coded = (code: string, cause?: unknown) =>
    Object.assign(new Error(`message of ${code}`, { cause }), { code });
  const kind = (error: unknown) => classifyFailure(error).kind;
  assert.equal(kind(coded('device/connect-failed', coded('ENETUNREACH'))), 'offline');
  // As Node's `connect` makes it: the whole has the code of the first.
  const several = (...codes: string[]) =>
    coded('x', Object.assign(new AggregateError(codes.map((code) => coded(code))), { code: codes[0] }));
  assert.equal(kind(several('ENETUNREACH', 'ENETUNREACH')), 'offline');
  assert.equal(kind(several('ENETUNREACH', 'ECONNREFUSED')), 'failed');
  assert.equal(kind(several('ECONNREFUSED', 'ENETUNREACH')), 'failed');
  assert.equal(kind(several()), 'failed');
  assert.equal(kind(coded('EAI_AGAIN')), 'failed');
  assert.equal(kind(coded('ECONNREFUSED')), 'failed');
  assert.equal(kind(coded('device/enrolment-refused')), 'refused');
  assert.equal(kind(Object.assign(new Error('4.03'), { status: 131 })), 'refused');
  assert.equal(kind(Object.assign(new Error('5.03'), { status: 163 })), 'failed');
  assert.deepEqual(classifyFailure(coded('lost', coded('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'))), {
    kind: 'refused',
    reason: 'alert unknown ca',
  });
  assert.equal(classifyFailure(coded('a', coded('b'))).reason, 'message of b');
  const loop = new Error('loop');
  loop.cause = loop;
  assert.equal(kind(loop), 'failed');
  assert.equal(kind('text'), 'failed');
});

test('a service that asks a device to stay away is obeyed, for an hour at most', () => {
  const asked = (details: object) =>
    classifyFailure(new Error('outer', { cause: Object.assign(new Error('inner'), { details }) }), 1_000_000)
      .holdOffMs;
  assert.equal(asked({ retryAfter: '120' }), 120_000);
  assert.equal(asked({ retryAfter: new Date(1_090_000).toUTCString() }), 90_000);
  assert.equal(asked({ holdOffSeconds: 30 }), 30_000);
  assert.equal(asked({ holdOffSeconds: 1e9 }), 3_600_000);
  for (const retryAfter of ['', '-1', 'soon', '99999999999', new Date(0).toUTCString(), undefined, 7])
    assert.ok([undefined, 3_600_000].includes(asked({ retryAfter })), String(retryAfter));
  assert.equal(asked({ holdOffSeconds: 0 }), undefined);
});

test('a certificate that is refused for good, and one that is not', () => {
  const aborted = (text: string) =>
    new Error('', {
      cause: Object.assign(new Error(`the peer aborted the connection: ${text}`), {
        code: 'coap/peer-aborted',
      }),
    });
  for (const reason of ['expired', 'superseded', 'unknown'])
    assert.ok(isCertificateRefused(aborted(`${reason}-certificate: see the record`)));
  for (const reason of ['revoked-certificate', 'already-connected', 'suspended'])
    assert.ok(!isCertificateRefused(aborted(`${reason}: see the record`)));
  assert.ok(!isCertificateRefused(new Error('x: expired-certificate: y')));
});

test('a log line stays one line, whatever is in its fields', () => {
  const lines: string[] = [];
  const log = createLog((line) => lines.push(line), true);
  log.warning('a phrase', {
    plain: 'a/b:1',
    text: 'two words',
    none: undefined,
    forged: 'x\nregistered device=1',
  });
  assert.deepEqual(lines, ['<4>a phrase plain=a/b:1 text="two words" forged="x\\nregistered device=1"\n']);
});

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { date, type FilterFields, flag, integer, parseDate, parseFilters, text } from './filters.ts';
import { HttpError } from './errors.ts';

const fields: FilterFields = {
  name: text,
  on: flag,
  at: date,
  count: integer,
  tags: { type: 'map', operators: ['eq'] },
};

test('whatever is asked for, a filter is understood or refused by name', () => {
  const key = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'filter',
      'name',
      'name__in',
      'at__gte',
      'tags__x__eq',
      'tags__',
      '__eq',
      '__proto__',
      'constructor__eq',
    ),
  );
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom('true', '2020-02-30', 'name=%', 'a=b&c=d&&=', '1,,2'),
    fc.array(fc.string()),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
      try {
        parseFilters(Object.fromEntries(pairs), fields);
      } catch (error) {
        assert.ok(
          error instanceof HttpError && error.status === 400 && error.fields.length > 0,
          String(error),
        );
      }
    }),
  );
});

test('dates come in the forms that clients send', () => {
  const time = Date.UTC(2016, 10, 30, 16, 25, 12);
  for (const form of [
    '2016-11-30T16:25:12.000Z',
    '2016-11-30T16:25:12Z',
    '20161130T162512Z',
    '2016-11-30T18:25:12+02:00',
  ]) {
    assert.equal(parseDate(form)?.getTime(), time, form);
  }
  assert.equal(parseDate('2016-11-30')?.getTime(), Date.UTC(2016, 10, 30));
  for (const form of ['', 'now', '2016', '2016-13-01', '1480523112', '2016-11-30 16:25:12']) {
    assert.equal(parseDate(form), undefined, form);
  }
});

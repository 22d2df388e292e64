// SPDX-License-Identifier: Apache-2.0
import { type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely';
import { z } from 'zod';
import { idPattern } from '../ids.ts';
import { type FilterFields, filterParameters } from './filters.ts';

/** Pelion clamps a page's size to these. */
const smallest = 2;
const largest = 1000;

/** The parameters of a page. */
export const paging = {
  limit: z
    .string()
    .regex(/^\d{1,9}$/, 'Not a number')
    .transform((value) => Math.min(Math.max(Number(value), smallest), largest))
    .optional()
    .describe('Page size, 2 to 1000; 50 when absent'),
  after: z
    .string()
    .regex(idPattern, 'Not an id')
    .optional()
    .describe('Id of the last item of the page before'),
  order: z.enum(['ASC', 'DESC']).optional(),
  include: z.string().optional().describe('`total_count` to have the items of all pages counted'),
};

/** The query of a list route: paging, and every filter that the route knows. Others are for `parseFilters` to refuse. */
export function listQuery(fields: FilterFields = {}) {
  return z.looseObject({ ...paging, filter: z.string().max(10_000).optional(), ...filterParameters(fields) });
}

export interface ListQuery {
  limit?: number | undefined;
  after?: string | undefined;
  order?: 'ASC' | 'DESC' | undefined;
  include?: string | undefined;
}

export interface Page<Item> {
  object: 'list';
  limit: number;
  after: string | null;
  order: 'ASC' | 'DESC';
  has_more: boolean;
  total_count?: number;
  data: Item[];
}

/** Another order of a list than that of its ids. */
export interface PageOrder {
  /** What sorts; its values are unique. */
  readonly column: string;
  /** Its value in the row of that id. */
  readonly after: (id: string, order: 'ASC' | 'DESC') => RawBuilder<unknown>;
}

/** Fetches one page of a query that selects from a single table with a column `id`. Ids sort by time; `by` sorts in another way. */
export async function fetchPage<DB, TB extends keyof DB, Row, Item>(
  query: SelectQueryBuilder<DB, TB, Row>,
  { limit = 50, after, order = 'ASC', include }: ListQuery,
  toItem: (row: Row) => Item,
  by?: PageOrder,
): Promise<Page<Item>> {
  const column = sql.ref(by?.column ?? 'id');
  let page = query.orderBy(column, order === 'ASC' ? 'asc' : 'desc').limit(limit + 1);
  if (after !== undefined) {
    const place = by?.after(after, order) ?? sql`${after}::text`;
    page = page.where(
      order === 'ASC' ? sql<SqlBool>`${column} > ${place}` : sql<SqlBool>`${column} < ${place}`,
    );
  }
  const rows = await page.execute();
  const counted = include?.split(',').includes('total_count')
    ? await query.clearSelect().select(sql<string>`count(*)`.as('count')).executeTakeFirst()
    : undefined;
  return {
    object: 'list',
    limit,
    after: after ?? null,
    order,
    has_more: rows.length > limit,
    ...(counted === undefined ? {} : { total_count: Number((counted as { count: string }).count) }),
    data: rows.slice(0, limit).map(toItem),
  };
}

/** The shape of a page, for the published description of a route. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    object: z.literal('list'),
    limit: z.number().int(),
    after: z.string().nullable(),
    order: z.enum(['ASC', 'DESC']),
    has_more: z.boolean(),
    total_count: z.number().int().optional(),
    data: z.array(item),
  });
}

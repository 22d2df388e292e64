// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import type { KnownRelease } from './catalogue.ts';

const component = z.object({
  name: z.string(),
  version: z.string(),
  size: z.number().int().describe('Bytes of the whole component'),
  sha256: z.string(),
  root_hash: z.string().nullable().describe('Of a verity image'),
});

export const release = z
  .object({
    object: z.literal('release'),
    name: z.string(),
    team: z.string(),
    keys: z.enum(['development', 'production']).describe('What the keys are for that signed its images'),
    rollback_index: z.number().int().describe('A device that accepted a higher one refuses it'),
    notes: z.string(),
    machines: z.array(
      z.object({
        machine: z.string(),
        image: z.string(),
        build_id: z.string(),
        components: z.array(component),
      }),
    ),
    created_at: z.string().describe('When it came to this service'),
    etag: z.string(),
  })
  .meta({ id: 'Release' });

export type ReleaseView = z.infer<typeof release>;

export function toRelease({ release: of, createdAt }: KnownRelease): ReleaseView {
  return {
    object: 'release',
    name: of.name,
    team: of.team,
    keys: of.keys,
    rollback_index: of.rollbackIndex,
    notes: of.notes,
    machines: of.images.map(({ machine, image, buildId, components }) => ({
      machine,
      image,
      build_id: buildId,
      components: components.map(({ name, version, size, sha256, verity }) => ({
        name,
        version,
        size,
        sha256,
        root_hash: verity?.rootHash ?? null,
      })),
    })),
    created_at: createdAt.toISOString(),
    etag: createdAt.toISOString(),
  };
}

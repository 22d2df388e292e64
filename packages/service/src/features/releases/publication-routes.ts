// SPDX-License-Identifier: Apache-2.0
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { nothing } from '../../infra/http/declared-answers.ts';
import { HttpError } from '../../infra/http/errors.ts';
import type { App } from '../../infra/http/server.ts';
import { type Incoming, largestPiece } from './incoming.ts';
import { metadataName, type Publication } from './publication.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'Must be a SHA-256: 64 small hex digits');
const mostFiles = 2000;

const result = z
  .object({
    object: z.literal('release-publication'),
    state: z.enum(['incomplete', 'published']),
    missing: z
      .array(
        z.object({
          sha256: z.string(),
          path: z.string(),
          size: z.number().int().nullable(),
          received: z.number().int().describe('Bytes that are there already: the next piece begins there'),
        }),
      )
      .describe('Files that are to be sent first'),
    metadata: z.array(z.string()).describe('What is served from now on; none when it was before'),
  })
  .meta({ id: 'ReleasePublication' });

export type ReleasePublication = z.infer<typeof result>;

const tags = ['releases'];

export interface PublicationRouteParts {
  readonly publication: Publication;
  readonly incoming: Incoming;
}

/** How a signed repository comes to the service: files by their content, then one step that serves them. */
export function publicationRoutes(app: App, { publication, incoming }: PublicationRouteParts): void {
  app.post(
    '/v3/release-publications',
    {
      schema: {
        tags,
        summary:
          'Serve a signed repository from now on, where all its files are here and a device would accept it',
        body: z.strictObject({
          metadata: z
            .record(z.string().regex(metadataName, 'Must be the name of a metadata file'), digest)
            .refine((map) => Object.keys(map).length <= mostFiles, `At most ${mostFiles} files`)
            .describe('The metadata of the repository: the digest of each file'),
        }),
        response: { 200: result },
      },
    },
    async ({ body }) => {
      const offered = await publication.offer(new Map(Object.entries(body.metadata)));
      return {
        object: 'release-publication' as const,
        state: offered.state,
        missing: offered.state === 'incomplete' ? [...offered.missing] : [],
        metadata: offered.state === 'published' ? [...offered.metadata] : [],
      };
    },
  );

  // A type of body that no other route has.
  void app.register(async (scope) => {
    scope.addContentTypeParser(
      'application/octet-stream',
      { parseAs: 'buffer', bodyLimit: largestPiece },
      (_request, body, done) => done(null, body),
    );
    (scope.withTypeProvider<ZodTypeProvider>() as App).put(
      '/v3/release-files/:sha256',
      {
        bodyLimit: largestPiece,
        config: {
          refusals: {
            conflict: 'The piece does not follow what is there',
            unsupported_media_type: 'The body is not application/octet-stream',
          },
        },
        schema: {
          tags,
          summary: 'Send a file for a publication, in pieces of at most 8 MiB (application/octet-stream)',
          params: z.object({ sha256: digest }),
          querystring: z.object({
            offset: z.coerce.number().int().min(0).default(0).describe('Where the piece begins'),
            last: z.enum(['true', 'false']).default('true').describe('Whether the file ends with it'),
          }),
          response: { 204: nothing },
        },
      },
      async ({ params: { sha256 }, query: { offset, last }, body }, reply) => {
        if (!(body instanceof Uint8Array))
          throw new HttpError('unsupported_media_type', 'The body must be application/octet-stream');
        await incoming.add(sha256, body, { offset, last: last === 'true' });
        return reply.code(204).send(null);
      },
    );
  });
}

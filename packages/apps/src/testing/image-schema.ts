// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

export type ImageDocument = 'layout' | 'index' | 'manifest' | 'config';

const folder = join(import.meta.dirname, 'oci-image-spec');
const files: Readonly<Record<ImageDocument, string>> = {
  layout: 'image-layout-schema.json',
  index: 'image-index-schema.json',
  manifest: 'image-manifest-schema.json',
  config: 'config-schema.json',
};

/** Whether a document is one by the image-spec's schema. The forms of dates and addresses are not looked at. */
export function imageSchema(): Readonly<Record<ImageDocument, ValidateFunction>> {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  for (const name of ['defs.json', 'defs-descriptor.json', 'content-descriptor.json'])
    ajv.addSchema(read(name), name);
  const of = (what: ImageDocument) => ajv.compile(read(files[what]));
  return { layout: of('layout'), index: of('index'), manifest: of('manifest'), config: of('config') };
}

/** Draft 4 names schemas by `id`, which later drafts do not know; nothing refers to one by it. */
function read(name: string): object {
  const text = readFileSync(join(folder, name), 'utf8');
  return JSON.parse(text, (key, value: unknown) => {
    const isName =
      key === 'id' && typeof value === 'string' && value.startsWith('https://opencontainers.org/');
    return isName || key === '$schema' ? undefined : value;
  }) as object;
}

// SPDX-License-Identifier: Apache-2.0
import type { Layer } from '../image/layer.ts';
import { Budget } from '../layers/budget.ts';
import { readLayer } from '../layers/read-layer.ts';
import type { Spool } from '../layers/spool.ts';
import type { Limits } from '../limits.ts';
import { Tree } from './tree.ts';

/** The root file system that the layers of an image make together; contents are in the spool. */
export async function unpackLayers(
  layers: readonly Layer[],
  spool: Spool,
  limits: Limits,
  onEntry: (layer: number, entries: number) => void = () => undefined,
): Promise<Tree> {
  const tree = new Tree();
  const budget = new Budget(limits);
  let count = 0;
  for (const [i, layer] of layers.entries())
    for await (const entry of readLayer(layer.read(), spool, budget)) {
      tree.apply(entry, i);
      count += 1;
      if (count % 500 === 0) onEntry(i, count);
    }
  await spool.finish();
  return tree;
}

// SPDX-License-Identifier: Apache-2.0

/** The circles of a graph, each once, as the nodes in order: [a, b] means a -> b -> a. */
export function findCircles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const circles: string[][] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string) => {
    const start = path.indexOf(node);
    if (start !== -1) {
      circles.push(path.slice(start));
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const next of [...(graph.get(node) ?? [])].toSorted()) visit(next);
    path.pop();
    done.add(node);
  };
  for (const node of [...graph.keys()].toSorted()) visit(node);
  return circles;
}

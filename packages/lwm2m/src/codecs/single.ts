// SPDX-License-Identifier: Apache-2.0
import { Code } from '@mbl/coap';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { formatPath } from '../path.ts';
import type { ResourceType } from '../values.ts';
import { inferType } from '../values.ts';

/** The one node that text/plain and octet-stream can carry. Throws `lwm2m/not-single` (4.06). */
export function onlyNode(nodes: readonly Node[], base: Path): Node {
  const [node] = nodes;
  if (node === undefined || nodes.length > 1 || node.path.length !== base.length) {
    throw new Lwm2mError('lwm2m/not-single', `${formatPath(base)} is not one single value`, {
      status: Code.NOT_ACCEPTABLE,
    });
  }
  return node;
}

/** What the model says of a path to a resource or resource instance. Throws `lwm2m/not-single` (4.00) for other paths. */
export function typeOfPath(path: Path, model: ObjectModel): ResourceType | undefined {
  if (path.length < 3) {
    throw new Lwm2mError('lwm2m/not-single', `${formatPath(path)} takes more than one value`, {
      status: Code.BAD_REQUEST,
    });
  }
  return model.resource(path)?.type;
}

export function typeOfNode(node: Node, model: ObjectModel): ResourceType {
  return model.resource(node.path)?.type ?? node.type ?? inferType(node.value);
}

// SPDX-License-Identifier: Apache-2.0
import {
  byName,
  type Located,
  type NamedPart,
  object,
  optional,
  path,
  type RecipeNode,
  type Shape,
  text,
} from '@mbl/formats';
import { type ImagePart, imageShape } from './image.ts';
import { type MachinePart, machineShape } from './machine.ts';

/** A recipe that is only changed, never complete: its parts are merged into the recipes that they name. */
function changes<P>(shape: Shape<P, unknown>): Shape<P, P | undefined> {
  return {
    read: (node) => shape.read(node),
    merge: (base, change) => shape.merge(base, change),
    complete: (part) => part,
  };
}

/** The keys of a layer's `layer.yaml`. Each is explained in docs/reference/layers.md. */
const layerShape = object({
  name: text(/^[a-z0-9][a-z0-9-]{0,63}$/, 'a layer name (lower case letters, digits, -)'),
  machines: optional(path()),
  images: optional(path()),
  packages: optional(path()),
  change: object({
    machines: optional(byName(changes(machineShape))),
    images: optional(byName(changes(imageShape))),
  }),
});

/** A product's own folder: what it adds, and what it changes. */
export interface Layer {
  readonly name: string;
  /** Absolute path of the layer's folder. */
  readonly folder: string;
  /** Folders with the layer's own machine files, image files and .deb files. */
  readonly machines: Located<string> | undefined;
  readonly images: Located<string> | undefined;
  readonly packages: Located<string> | undefined;
  readonly machineChanges: readonly NamedPart<MachinePart>[];
  readonly imageChanges: readonly NamedPart<ImagePart>[];
}

/** Reads a parsed `layer.yaml`. */
export function readLayer(node: RecipeNode): Layer {
  const whole = layerShape.complete(layerShape.read(node), node.at, '');
  const { name, machines, images, packages, change } = whole;
  return {
    name,
    folder: node.recipe.folder,
    machines,
    images,
    packages,
    machineChanges: present(change.machines),
    imageChanges: present(change.images),
  };
}

function present<P>(changes: readonly NamedPart<P | undefined>[] | undefined): NamedPart<P>[] {
  return (changes ?? []).flatMap(({ name, at, part }) => (part === undefined ? [] : [{ name, at, part }]));
}

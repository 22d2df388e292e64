// SPDX-License-Identifier: Apache-2.0
import type { Release, ReleaseComponent, ReleaseFile } from '@mbl/formats';
import { componentPath, mapPath, releasePath, streamPath } from './paths.ts';

function componentsOf({ images }: Release): readonly ReleaseComponent[] {
  return images.flatMap(({ components }) => components);
}

/** The paths of all targets that a release names, its description among them. */
export function targetsOf(release: Release): string[] {
  const { team, name, images } = release;
  const files = images.flatMap(({ components, packages }) => [
    ...components,
    ...components.flatMap(({ payload }) => payload ?? []),
    ...components.flatMap(({ app }) => [
      ...(app ? [app.description] : []),
      ...(app?.packages ? [app.packages] : []),
    ]),
    ...(packages === undefined ? [] : [packages]),
  ]);
  return [releasePath(team, name), ...files.map((file) => componentPath(team, file))];
}

/** The paths of the targets that a device fetches of it: of a component its payload, the whole where it has none; of an app its `app.json`. */
export function fetchedTargets(release: Release): string[] {
  const files = componentsOf(release).flatMap((component): ReleaseFile[] => [
    component.payload ?? component,
    ...(component.app === undefined ? [] : [component.app.description]),
  ]);
  return [releasePath(release.team, release.name), ...files.map((file) => componentPath(release.team, file))];
}

/** The paths of its copy maps, which are no targets: a file below `targets/` of just that name each. */
export function mapsOf(release: Release): string[] {
  return componentsOf(release).flatMap(({ payload }) =>
    payload === undefined
      ? []
      : payload.maps.map(({ source }) => mapPath(release.team, payload.rootHash, source)),
  );
}

/** The paths of its streams, which are no targets either. */
export function streamsOf(release: Release): string[] {
  return componentsOf(release).flatMap(({ payload }) =>
    payload?.streamSize === undefined ? [] : [streamPath(release.team, payload.rootHash)],
  );
}

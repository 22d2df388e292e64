// SPDX-License-Identifier: Apache-2.0
export {
  type Board,
  acceptRelease,
  type AcceptedComponent,
  type AcceptedRelease,
  checkComponent,
  listReleases,
  readRelease,
  readText,
} from './release/accept.ts';
export { acceptApps, type AcceptedApp, checkApp } from './release/accept-apps.ts';
export { composeApps, type ComposeAppsOptions } from './release/compose-apps.ts';
export { type ComposedRelease, composeRelease, type ComposeOptions } from './release/compose.ts';
export {
  changedComponents,
  changedPackages,
  type ComponentChange,
  type PackageChange,
} from './release/diff.ts';
export { fipSize } from './release/extents.ts';
export { type LocalRelease, localReleases, readBill, releasesBefore } from './release/local.ts';
export { componentPath, mapPath, releasePath, streamPath } from './release/paths.ts';
export { beginRepository, makeBornRoot } from './repository/born-root.ts';
export { type DropOptions, dropReleases, removeFiles } from './repository/drop.ts';
export { exportRelease, type ExportOptions } from './repository/export.ts';
export { packRelease } from './repository/pack.ts';
export { addTargets, changeRole, removeTeam, renew, type RoleChange } from './repository/edit.ts';

export { readRepository, writePublished, writeStaged } from './repository/folder.ts';
export { publish, type Published, type PublishOptions } from './repository/publish.ts';
export {
  authorityOf,
  emptyState,
  ofKind,
  type RepositoryState,
  rolesOf,
  teamsOf,
  type TopRole,
  topRoles,
} from './repository/roles.ts';
export { attachSignature, exportToSign, type Progress, progressOf, signStaged } from './repository/sign.ts';
export { folderSource, folderStore, memoryStore } from './sources/folder.ts';
export { serveFolder, type ServedFolder } from './sources/serve.ts';
export { httpSource } from './sources/http.ts';
export { Client, type ClientOptions, type MetadataStore, type Source, type Target } from './tuf/client.ts';
export { type MetadataSigner, metadataSigner, type TufKey, tufKey } from './tuf/keys.ts';

// SPDX-License-Identifier: Apache-2.0
import { readRecord, type Release, type ReleaseComponent } from '@mbl/formats';

/** What changed of one component of a machine. A side is absent where the release does not have it. */
export interface ComponentChange {
  readonly machine: string;
  readonly component: string;
  readonly before?: ReleaseComponent;
  readonly after?: ReleaseComponent;
}

/** A package whose versions changed. A list is empty where the bill does not have it. */
export interface PackageChange {
  readonly name: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** The components that are not the same bytes in both releases, in the order of the machines and components. */
export function changedComponents(before: Release, after: Release): ComponentChange[] {
  const changes: ComponentChange[] = [];
  const machines = unite(
    before.images.map(({ machine }) => machine),
    after.images.map(({ machine }) => machine),
  );
  for (const machine of machines) {
    const [old, fresh] = [componentsOf(before, machine), componentsOf(after, machine)];
    for (const component of unite([...old.keys()], [...fresh.keys()])) {
      const [a, b] = [old.get(component), fresh.get(component)];
      if (a?.sha256 === b?.sha256) continue;
      changes.push({
        machine,
        component,
        ...(a === undefined ? {} : { before: a }),
        ...(b === undefined ? {} : { after: b }),
      });
    }
  }
  return changes;
}

/** What two bills of materials (CycloneDX) say differently, by the names of packages. Throws `release/bad-bill`. */
export function changedPackages(before: string, after: string): PackageChange[] {
  const [old, fresh] = [packagesOf(before), packagesOf(after)];
  return unite([...old.keys()], [...fresh.keys()])
    .toSorted()
    .map((name) => ({ name, before: old.get(name) ?? [], after: fresh.get(name) ?? [] }))
    .filter((change) => change.before.join() !== change.after.join());
}

const maxPackages = 20_000;

function packagesOf(bill: string): Map<string, string[]> {
  const json = readRecord(bill, { path: 'packages.cdx.json', code: 'release/bad-bill', most: 16 << 20 });
  const found = new Map<string, string[]>();
  for (const one of json.objects('components', maxPackages)) {
    const name = one.string('name');
    const version = one.is('version', undefined) ? '' : one.string('version');
    found.set(name, [...(found.get(name) ?? []), version].toSorted());
  }
  return found;
}

function componentsOf(release: Release, machine: string): Map<string, ReleaseComponent> {
  const image = release.images.find((one) => one.machine === machine);
  return new Map(image?.components.map((component) => [component.name, component]));
}

function unite(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

// SPDX-License-Identifier: Apache-2.0
import type { AppObjects } from './app-objects.ts';
import type { BusCaller, Served } from './dispatch.ts';
import { cloudInterface } from './interfaces.ts';
import type { Variant } from './wire.ts';

type Methods = keyof typeof cloudInterface.methods;

/** `com.mbl.Cloud1`. */
export function serveCloud(objects: AppObjects, isRegistered: () => boolean): Served {
  const methods: Record<Methods, (caller: BusCaller, args: readonly never[]) => readonly unknown[]> = {
    Register: ({ uid, app, listener }, [definition]: readonly string[]) => [
      objects.register(uid, app, definition ?? '', listener),
    ],
    Unregister: ({ uid }, [paths]: readonly (readonly string[])[]) => {
      objects.unregister(uid, paths ?? []);
      return [];
    },
    Set: ({ uid }, [path, value]: readonly unknown[]) => {
      objects.set(uid, [[path as string, value as Variant]]);
      return [];
    },
    SetAll: ({ uid }, [values]: readonly ReadonlyMap<string, Variant>[]) => {
      objects.set(uid, values ?? []);
      return [];
    },
    Get: ({ uid }, [path]: readonly string[]) => [objects.get(uid, path ?? '')],
    GetAll: ({ uid }) => [objects.getAll(uid)],
  };
  return {
    interface: cloudInterface,
    call: (caller, member, args) => methods[member as Methods](caller, args as readonly never[]),
    property: () => (isRegistered() ? 'registered' : 'unregistered'),
  };
}

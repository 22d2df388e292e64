// SPDX-License-Identifier: Apache-2.0
import type { Node } from '../node.ts';
import { parsePath } from '../path.ts';
import type { Lwm2mValue } from '../values.ts';

/** The Device object of the specification's example client (LwM2M Core 1.1 §7.4.3 to §7.4.5). */
export const deviceExample: readonly Node[] = (
  [
    ['/3/0/0', 'Open Mobile Alliance'],
    ['/3/0/1', 'Lightweight M2M Client'],
    ['/3/0/2', '345000123'],
    ['/3/0/3', '1.0'],
    ['/3/0/6/0', 1],
    ['/3/0/6/1', 5],
    ['/3/0/7/0', 3800],
    ['/3/0/7/1', 5000],
    ['/3/0/8/0', 125],
    ['/3/0/8/1', 900],
    ['/3/0/9', 100],
    ['/3/0/10', 15],
    ['/3/0/11/0', 0],
    ['/3/0/13', 1367491215],
    ['/3/0/14', '+02:00'],
    ['/3/0/16', 'U'],
  ] satisfies [string, Lwm2mValue][]
).map(([path, value]) => ({ path: parsePath(path), value }));

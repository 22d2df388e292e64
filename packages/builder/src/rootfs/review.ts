// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { MblError } from '@mbl/trust';
import type { Deb } from '../debian/deb.ts';
import type { Policy } from './policy.ts';

/**
 * What debhelper writes into scripts and the build does in its own way: units by presets, users by sysusers, files by tmpfiles at boot;
 * conffile moves, init scripts and menus mean nothing to a new system.
 */
const STOOD_IN_FOR = new Set([
  'dh_installdeb',
  'dh_installinit',
  'dh_installmenu',
  'dh_installsystemd',
  'dh_installsystemduser',
  'dh_installsysusers',
  'dh_installtmpfiles',
  'dh_makeshlibs',
  'dh_runit',
]);

/**
 * The SHA-256 of what a person must have read of a maintainer script: without comments, empty lines and known generated sections.
 * Undefined when nothing is left.
 */
export const scriptDigest = (script: string): string | undefined => {
  const kept: string[] = [];
  let generated = false;
  for (const line of script.split('\n')) {
    const helper = /^\s*# Automatically added by (dh_\w+)/.exec(line)?.[1];
    if (helper && STOOD_IN_FOR.has(helper)) generated = true;
    else if (/^\s*# End automatically added section/.test(line)) generated = false;
    else if (!generated && !/^\s*(#|$)/.test(line)) kept.push(line.trim());
  }
  const rest = kept.filter((line) => !/^(set -e[u]?|exit 0|:|true)$/.test(line));
  return rest.length === 0 ? undefined : createHash('sha256').update(rest.join('\n')).digest('hex');
};

/** No script runs at build time, so what each would have done must be known. Throws `builder/unreviewed-script`. */
export const checkScripts = (name: string, deb: Deb, policy: Pick<Policy, 'reviewed'>): void => {
  for (const script of ['preinst', 'postinst']) {
    const text = deb.scripts.get(script);
    const digest = text && scriptDigest(text.toString());
    if (!digest || policy.reviewed[name]?.includes(digest)) continue;
    throw new MblError(
      'builder/unreviewed-script',
      `The ${script} of package ${name} ${deb.control.get('Version') ?? ''} has not been reviewed: the build does not run it.`,
      {
        remedy: `Read it (dpkg-deb -I <file> ${script}), do what it does by files of the image, and add ${digest} under "reviewed: ${name}:" in os/rootfs/policy.yaml or the layer's policy.yaml.`,
        details: { package: name, script, digest },
      },
    );
  }
};

// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deb } from '../debian/deb.ts';
import { checkScripts, scriptDigest } from './review.ts';

const generated = (helper: string): string => `#!/bin/sh
set -e
# Automatically added by ${helper}/13.24.2
if [ "$1" = configure ]; then deb-systemd-helper enable 'x.service'; fi
# End automatically added section

exit 0
`;
const own = '#!/bin/sh\nset -e\nadduser --system x\n';
const deb = (postinst: string): Deb => ({
  control: new Map([['Version', '1.0']]),
  scripts: new Map([['postinst', Buffer.from(postinst)]]),
  files: [],
});

test('what debhelper generated, and the build does itself, needs no reviewer', () => {
  assert.equal(scriptDigest(generated('dh_installsystemd')), undefined);
  assert.equal(scriptDigest(generated('dh_installsysusers')), undefined);
  assert.notEqual(scriptDigest(generated('dh_installalternatives')), undefined);
});

test('another version of debhelper, comments and blank lines do not change the digest; a command does', () => {
  const digest = scriptDigest(own);
  assert.equal(
    scriptDigest(
      `${generated('dh_installtmpfiles').replace('13.24.2', '14.1')}# hi\n\n  adduser --system x  \n`,
    ),
    digest,
  );
  assert.notEqual(scriptDigest(own.replace('x\n', 'y\n')), digest);
});

test('a script that nobody has read stops the build; the error says what to add where', () => {
  const digest = scriptDigest(own) ?? '';
  assert.throws(() => checkScripts('tool', deb(own), { reviewed: {} }), {
    code: 'builder/unreviewed-script',
    message: /postinst of package tool 1\.0/,
    remedy: new RegExp(`${digest}.*reviewed: tool:`),
  });
  checkScripts('tool', deb(own), { reviewed: { tool: [digest] } });
  assert.throws(() => checkScripts('tool', deb(own), { reviewed: { other: [digest] } }), {
    code: 'builder/unreviewed-script',
  });
});

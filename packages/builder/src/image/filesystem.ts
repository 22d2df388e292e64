// SPDX-License-Identifier: Apache-2.0
import type { PlacedPartition } from '@mbl/formats';
import { runCommand, sourceDateEpoch } from '../engine/run-command.ts';
import { namedGuid } from './partitions.ts';

const features =
  'none,has_journal,filetype,sparse_super,large_file,dir_index,extent,huge_file,flex_bg,dir_nlink,extra_isize,64bit,metadata_csum';

/**
 * Writes an empty ext4 into a partition of `disk`, which must be zero there: the same bytes for the same label and size, its inode tables
 * written at the first mount.
 */
export async function makeExt4(disk: string, { name, offset, size }: PlacedPartition): Promise<void> {
  const uuid = namedGuid(`filesystem ${name}`);
  const args = ['-q', '-F', '-b', '4096', '-I', '256', '-m', '1', '-O', features, '-L', name, '-U', uuid];
  const extended = `offset=${offset},hash_seed=${uuid},lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0`;
  // The host's mke2fs.conf must not decide; E2FSPROGS_FAKE_TIME is what e2fsprogs before 1.47.1 reads for SOURCE_DATE_EPOCH.
  const env = { MKE2FS_CONFIG: '/dev/null', E2FSPROGS_FAKE_TIME: String(sourceDateEpoch) };
  await runCommand('mke2fs', [...args, '-E', extended, disk, `${size / 1024}k`], { env });
}

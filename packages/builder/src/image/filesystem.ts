// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { runCommand, sourceDateEpoch } from '../engine/run-command.ts';
import { namedGuid } from './partitions.ts';

const features =
  'none,has_journal,filetype,sparse_super,large_file,dir_index,extent,huge_file,flex_bg,dir_nlink,extra_isize,64bit,metadata_csum';

/** An empty ext4 of `size` bytes in a sparse file: the same bytes for the same label, its inode tables written at the first mount. */
export async function emptyExt4(path: string, label: string, size: number): Promise<void> {
  await using file = await open(path, 'wx');
  await file.truncate(size);
  const uuid = namedGuid(`filesystem ${label}`);
  const args = ['-q', '-F', '-b', '4096', '-I', '256', '-m', '1', '-O', features, '-L', label, '-U', uuid];
  const extended = `hash_seed=${uuid},lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0`;
  // The host's mke2fs.conf must not decide; E2FSPROGS_FAKE_TIME is what e2fsprogs before 1.47.1 reads for SOURCE_DATE_EPOCH.
  const env = { MKE2FS_CONFIG: '/dev/null', E2FSPROGS_FAKE_TIME: String(sourceDateEpoch) };
  await runCommand('mke2fs', [...args, '-E', extended, path], { env });
}

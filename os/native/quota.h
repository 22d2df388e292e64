/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MBL_QUOTA_H
#define MBL_QUOTA_H
/*
 *   quota set FOLDER PROJECT BYTES FILES
 *                         what is made in the folder from here on counts for this project (ext4's project quota), which may hold so many
 *                         bytes, in whole KiB, and so many files and folders
 *   quota leave FILE      the file counts for no project any more, wherever it was made
 */

/* Carries out one subcommand, given with its arguments, and ends the program; returns where there is none of that name. */
void quota(int count, char *const *arguments);

#endif

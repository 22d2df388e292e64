/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MBL_APP_H
#define MBL_APP_H
/*
 * Images of apps: an erofs in a file that the kernel's fs-verity holds still. Digests are fs-verity's file digest with SHA-256, blocks of
 * 4096 bytes and no salt, in 64 hex digits.
 *
 *   verity enable FILE    from here on nobody can change the file, and every read is checked; DONE too where that is so already
 *   verity measure FILE   prints the digest
 *
 *   app mount FILE DIGEST FOLDER [ID COUNT] [then COMMAND...]
 *                         mounts the erofs in the file whose digest is this one, and no other, on an existing folder: read-only, without
 *                         devices and set-user-ID, in the place of what was mounted there. With ID, what belongs to users and groups 0 to
 *                         COUNT-1 in the image belongs to ID to ID+COUNT-1 there. Then it becomes the command, given by its whole path
 *   app unmount FOLDER    nothing is mounted there any more; who still has a file of it open keeps it. DONE too where nothing was
 *
 * DIFFERENT, UNMEASURED: nothing was mounted.
 */

/* Each carries out one subcommand, given with its arguments, and ends the program; returns where there is none of that name. */
void verity(int count, char *const *arguments);
void app(int count, char *const *arguments);

#endif

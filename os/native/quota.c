// SPDX-License-Identifier: Apache-2.0
//
// Linux include/uapi/linux/fs.h and quota.h.

#include "quota.h"
#include "system.h"

struct folder_attributes {
	uint32_t flags, extent_size, extents, project, cow_extent_size;
	uint8_t padding[8];
};

#define GET_ATTRIBUTES (2UL << 30 | sizeof(struct folder_attributes) << 16 | 'X' << 8 | 31)
#define SET_ATTRIBUTES (1UL << 30 | sizeof(struct folder_attributes) << 16 | 'X' << 8 | 32)
#define PROJECT_INHERIT 0x200

/* Blocks of 1 KiB. `valid`: which of them are set. */
struct project_limits {
	uint64_t blocks, blocks_soft, space_used, files, files_soft, files_used, block_time, file_time;
	uint32_t valid, padding;
};

#define SET_QUOTA (0x800008L << 8 | 2)
#define VALID_LIMITS (1 | 4)

_Noreturn static void failed(const char *what, long result)
{
	if (result == -ENOTTY || result == -ENOSYS || result == -ESRCH || result == -EOPNOTSUPP)
		fail(ABSENT, "the file system has no quotas of projects", 0);
	fail(FAILED, what, result);
}

static void set(const char *path, uint32_t project, uint64_t bytes, uint64_t files)
{
	/* 0 would be no limit. */
	struct project_limits limits = { .blocks = bytes / 1024 + (bytes % 1024 != 0), .files = files, .valid = VALID_LIMITS };
	struct folder_attributes attributes = { 0 };
	const long folder = call(SYS_OPENAT, AT_FDCWD, (long)path, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	long result;

	if (folder < 0)
		fail(FAILED, "the folder cannot be opened", folder);
	/* The limits first: nothing is ever made in the folder without. */
	result = call(SYS_QUOTACTL_FD, folder, SET_QUOTA, project, (long)&limits);
	if (result < 0)
		failed("the limits cannot be set", result);
	result = call(SYS_IOCTL, folder, GET_ATTRIBUTES, (long)&attributes, 0);
	if (result < 0)
		failed("the folder's project cannot be read", result);
	attributes.flags |= PROJECT_INHERIT;
	attributes.project = project;
	result = call(SYS_IOCTL, folder, SET_ATTRIBUTES, (long)&attributes, 0);
	if (result < 0)
		failed("the folder's project cannot be set", result);
}

static void leave_project(const char *path)
{
	struct folder_attributes attributes = { 0 };
	const long file = call(SYS_OPENAT, AT_FDCWD, (long)path, O_NOFOLLOW | O_CLOEXEC, 0);
	long result;

	if (file < 0)
		fail(FAILED, "the file cannot be opened", file);
	result = call(SYS_IOCTL, file, GET_ATTRIBUTES, (long)&attributes, 0);
	if (result < 0)
		failed("the file's project cannot be read", result);
	attributes.project = 0;
	result = call(SYS_IOCTL, file, SET_ATTRIBUTES, (long)&attributes, 0);
	if (result < 0)
		failed("the file's project cannot be set", result);
}

void quota(int count, char *const *arguments)
{
	if (count == 2 && same(arguments[0], "leave")) {
		leave_project(arguments[1]);
		leave(DONE);
	}
	if (count != 5 || !same(arguments[0], "set"))
		return;
	const uint64_t project = number(arguments[2], UINT32_MAX);
	const uint64_t bytes = number(arguments[3], UINT64_MAX >> 1), files = number(arguments[4], UINT64_MAX >> 1);

	if (project == 0 || bytes == 0 || files == 0)
		fail(MISUSED, "a project and its limits are more than 0", 0);
	set(arguments[1], (uint32_t)project, bytes, files);
	leave(DONE);
}

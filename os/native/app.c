// SPDX-License-Identifier: Apache-2.0
//
// Linux include/uapi/linux/fsverity.h and mount.h. The file that is measured is the file that is mounted: both go by one open file, and
// what fs-verity protects changes no more.

#include "app.h"
#include "system.h"

enum { DIGEST_SIZE = 32, DIGEST_DIGITS = 64, BLOCK_SIZE = 4096, SHA256 = 1, LEAST_ID = 65536 };

struct verity_settings {
	uint32_t version, algorithm, block_size, salt_size;
	uint64_t salt;
	uint32_t signature_size, reserved;
	uint64_t signature, more[11];
};

struct verity_digest {
	uint16_t algorithm, size;
	uint8_t bytes[DIGEST_SIZE];
};

/* The size in the number of MEASURE is that of the part before the bytes. */
#define ENABLE (1UL << 30 | sizeof(struct verity_settings) << 16 | 'f' << 8 | 133)
#define MEASURE (3UL << 30 | 4UL << 16 | 'f' << 8 | 134)

#define FSOPEN_CLOEXEC 1
#define FSMOUNT_CLOEXEC 1
#define MOUNT_ATTR_RDONLY 1
#define MOUNT_ATTR_NOSUID 2
#define MOUNT_ATTR_NODEV 4
#define MOUNT_ATTR_IDMAP 0x100000
#define MOVE_MOUNT_F_EMPTY_PATH 4
#define AT_EMPTY_PATH 0x1000
#define MNT_DETACH 2
#define UMOUNT_NOFOLLOW 8
#define CLONE_NEWUSER 0x10000000
#define SIGCHLD 17

enum { FSCONFIG_SET_FLAG = 0, FSCONFIG_SET_STRING = 1, FSCONFIG_CMD_CREATE = 6 };

struct mount_attributes {
	uint64_t set, clear, propagation, user_namespace;
};

static long checked(long result, const char *what)
{
	if (result < 0)
		fail(FAILED, what, result);
	return result;
}

static long open_file(const char *path)
{
	return checked(call(SYS_OPENAT, AT_FDCWD, (long)path, O_NOFOLLOW | O_CLOEXEC, 0), "the file cannot be opened");
}

static void enable(const char *path)
{
	const struct verity_settings settings = { .version = 1, .algorithm = SHA256, .block_size = BLOCK_SIZE };
	const long result = call(SYS_IOCTL, open_file(path), ENABLE, (long)&settings, 0);

	if (result == -ETXTBSY)
		fail(BUSY, "somebody has the file open to write to it", 0);
	if (result == -EOPNOTSUPP || result == -ENOTTY)
		fail(ABSENT, "the file system has no fs-verity", 0);
	if (result != -EEXIST)
		checked(result, "fs-verity cannot be enabled");
}

static struct verity_digest measure(long file)
{
	struct verity_digest digest = { .size = DIGEST_SIZE };
	const long result = call(SYS_IOCTL, file, MEASURE, (long)&digest, 0);

	if (result == -ENODATA || result == -ENOTTY || result == -EOPNOTSUPP)
		fail(UNMEASURED, "fs-verity is not enabled on the file", 0);
	/* A longer digest than there is room for. */
	if (result == -EOVERFLOW || (result >= 0 && (digest.algorithm != SHA256 || digest.size != DIGEST_SIZE)))
		fail(DIFFERENT, "the file's digest is not one of SHA-256", 0);
	checked(result, "the file cannot be measured");
	return digest;
}

/* `digits` has room for DIGEST_DIGITS and a zero. */
static void to_hex(const struct verity_digest *digest, char *digits)
{
	for (size_t at = 0; at < DIGEST_SIZE; at++) {
		digits[2 * at] = "0123456789abcdef"[digest->bytes[at] >> 4];
		digits[2 * at + 1] = "0123456789abcdef"[digest->bytes[at] & 15];
	}
	digits[DIGEST_DIGITS] = 0;
}

/* Appends to a text that has room, and returns its end. */
static char *append(char *end, const char *text)
{
	while (*text != 0)
		*end++ = *text++;
	*end = 0;
	return end;
}

static char *append_number(char *end, uint64_t value)
{
	char digits[21];
	size_t at = sizeof(digits);

	digits[--at] = 0;
	do
		digits[--at] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	return append(end, digits + at);
}

/* /proc/<who>/<what> */
static void process_path(char *path, uint64_t who, const char *what)
{
	append(append(append_number(append(path, "/proc/"), who), "/"), what);
}

static void write_map(uint64_t child, const char *what, const char *line)
{
	char path[48];
	long file;

	process_path(path, child, what);
	file = checked(call(SYS_OPENAT, AT_FDCWD, (long)path, O_WRONLY | O_CLOEXEC, 0), "the map of ids cannot be opened");
	/* The kernel takes the whole map in one write or none of it. */
	checked(call(SYS_WRITE, file, (long)line, (long)length_of(line), 0), "the map of ids cannot be written");
	call(SYS_CLOSE, file, 0, 0, 0);
}

/* A user namespace in which 0 to count-1 are id to id+count-1 outside. It takes a process to make one, which does nothing and ends. */
static long user_namespace(uint64_t id, uint64_t count)
{
	char line[48], path[48];
	int pipe[2];
	long child, file;

	append_number(append(append_number(append(line, "0 "), id), " "), count);
	checked(call(SYS_PIPE2, (long)pipe, O_CLOEXEC, 0, 0), "no pipe");
	child = checked(call5(SYS_CLONE, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), "no user namespace");
	if (child == 0) {
		call(SYS_CLOSE, pipe[1], 0, 0, 0);
		/* Ends with the other end of the pipe, whichever way that goes. */
		while (call(SYS_READ, pipe[0], (long)line, 1, 0) == -EINTR)
			;
		leave(DONE);
	}
	write_map((uint64_t)child, "uid_map", line);
	write_map((uint64_t)child, "gid_map", line);
	process_path(path, (uint64_t)child, "ns/user");
	file = checked(call(SYS_OPENAT, AT_FDCWD, (long)path, O_CLOEXEC, 0), "the user namespace cannot be opened");
	call(SYS_CLOSE, pipe[1], 0, 0, 0);
	while (call(SYS_WAIT4, child, 0, 0, 0) == -EINTR)
		;
	return file;
}

/* All that is mounted on the folder. */
static void unmount_app(const char *folder)
{
	long result;

	do
		result = call(SYS_UMOUNT2, (long)folder, MNT_DETACH | UMOUNT_NOFOLLOW, 0, 0);
	while (result == 0);
	if (result != -EINVAL && result != -ENOENT)
		checked(result, "it cannot be unmounted");
}

static void mount_app(const char *path, const char *asked, const char *folder, uint64_t id, uint64_t count)
{
	const long file = open_file(path);
	const struct verity_digest digest = measure(file);
	char digits[DIGEST_DIGITS + 1], source[48];
	long context, mounted;

	to_hex(&digest, digits);
	if (!same(digits, asked))
		fail(DIFFERENT, "the file has another digest", 0);
	process_path(source, (uint64_t)checked(call(SYS_GETPID, 0, 0, 0, 0), "no process"), "fd/");
	append_number(source + length_of(source), (uint64_t)file);
	context = checked(call(SYS_FSOPEN, (long)"erofs", FSOPEN_CLOEXEC, 0, 0), "the kernel has no erofs");
	checked(call5(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, (long)"source", (long)source, 0), "no source");
	checked(call5(SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, (long)"ro", 0, 0), "not read-only");
	checked(call5(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0), "the file holds no erofs that can be mounted");
	mounted = checked(call(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0),
			  "it cannot be mounted");
	if (count > 0) {
		const struct mount_attributes attributes = {
			.set = MOUNT_ATTR_IDMAP,
			.user_namespace = (uint64_t)user_namespace(id, count),
		};

		checked(call5(SYS_MOUNT_SETATTR, mounted, (long)"", AT_EMPTY_PATH, (long)&attributes, sizeof(attributes)),
			"the ids cannot be mapped");
	}
	/* What an app's end may have left there: a second mount would hide it, and hold its image, until the device restarts. */
	unmount_app(folder);
	checked(call5(SYS_MOVE_MOUNT, mounted, (long)"", AT_FDCWD, (long)folder, MOVE_MOUNT_F_EMPTY_PATH),
		"it cannot be mounted there");
}

void verity(int count, char *const *arguments)
{
	char digits[DIGEST_DIGITS + 1];

	if (count == 2 && same(arguments[0], "enable")) {
		enable(arguments[1]);
	} else if (count == 2 && same(arguments[0], "measure")) {
		const struct verity_digest digest = measure(open_file(arguments[1]));

		to_hex(&digest, digits);
		say(1, digits);
		say(1, "\n");
	} else {
		return;
	}
	leave(DONE);
}

void app(int count, char *const *arguments)
{
	const int mapped = count >= 6 && !same(arguments[4], "then");
	const int next = mapped ? 6 : 4;

	if (count >= 4 && same(arguments[0], "mount") && (count == next || (count > next + 1 && same(arguments[next], "then")))) {
		const uint64_t id = mapped ? number(arguments[4], UINT32_MAX - 1) : 0;
		const uint64_t ids = mapped ? number(arguments[5], UINT32_MAX - 1 - id) : 0;

		/* Below are users of the system. */
		if (mapped && (id < LEAST_ID || ids == 0))
			fail(MISUSED, "these ids are not an app's", 0);
		mount_app(arguments[1], arguments[2], arguments[3], id, ids);
		if (count > next)
			/* The environment follows the arguments, and the zero at their end. */
			checked(call(SYS_EXECVE, (long)arguments[next + 1], (long)(arguments + next + 1), (long)(arguments + count + 1), 0),
				"the command cannot be run");
	} else if (count == 2 && same(arguments[0], "unmount")) {
		unmount_app(arguments[1]);
	} else {
		return;
	}
	leave(DONE);
}

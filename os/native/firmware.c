// SPDX-License-Identifier: Apache-2.0
//
// Linux's driver of the secure world is spoken to directly (Linux include/uapi/linux/tee.h), so that no library stands between.

#include <mbl_firmware_pta.h>
#include <mbl_firmware_update.h>
#include "firmware.h"
#include "system.h"

struct tee_buffer {
	uint64_t address, length;
};

struct tee_param {
	uint64_t attribute, a, b, c;
};

enum { VALUE_INPUT = 1, VALUE_OUTPUT = 2, MEMORY_INPUT = 5, MEMORY_OUTPUT = 6, LOGIN_GROUP = 2, PARAMS = 4 };

struct tee_open_session {
	uint8_t uuid[16], client[16];
	uint32_t login, cancel, session, result, origin, count;
	struct tee_param params[PARAMS];
};

struct tee_invoke {
	uint32_t function, session, cancel, result, origin, count;
	struct tee_param params[PARAMS];
};

struct tee_register {
	uint64_t address, length;
	uint32_t flags;
	int32_t id;
};

/* Linux include/uapi/asm-generic/ioctl.h: direction, size, type, number. */
#define TEE_CALL(direction, number, type) \
	((unsigned long)(direction) << 30 | sizeof(type) << 16 | 0xa4UL << 8 | (number))
#define TEE_OPEN_SESSION TEE_CALL(2, 2, struct tee_buffer)
#define TEE_INVOKE TEE_CALL(2, 3, struct tee_buffer)
#define TEE_REGISTER TEE_CALL(3, 9, struct tee_register)

/* GlobalPlatform TEE Client API, §4.4.2. */
#define TEE_ACCESS_DENIED 0xffff0001
#define TEE_NOT_FOUND 0xffff0008
#define TEE_NOT_SUPPORTED 0xffff000a
#define TEE_BAD_STATE 0xffff0007
#define TEE_BAD_PARAMETERS 0xffff0006

static uint8_t piece[MBL_FW_MOST_BYTES] __attribute__((aligned(4096)));

struct firmware_session {
	int device;
	uint32_t id;
	struct tee_param params[PARAMS];
};

_Noreturn static void refused(const char *what, uint32_t result)
{
	switch (result) {
	case TEE_NOT_SUPPORTED:
	case TEE_NOT_FOUND:
		fail(ABSENT, "this board has no banks for its boot firmware", 0);
	case TEE_BAD_STATE:
	case TEE_BAD_PARAMETERS:
		fail(DENIED, what, 0);
	default:
		fail(FAILED, what, (long)result);
	}
}

static struct firmware_session open_firmware(void)
{
	static const uint8_t uuid[16] = MBL_FW_PTA_UUID_BYTES;
	struct firmware_session session = { .device = -1 };
	struct tee_open_session args = { .login = LOGIN_GROUP };
	struct tee_buffer buffer = { (uint64_t)&args, sizeof(args) };
	const uint32_t group = MBL_FW_GROUP;
	long result;

	/* Root is a member when it wants to be: the driver looks at the group that a process runs with, and at its other ones. */
	call(SYS_SETREGID, -1, MBL_FW_GROUP, 0, 0);
	result = call(SYS_OPENAT, AT_FDCWD, (long)"/dev/tee0", O_RDWR | O_CLOEXEC, 0);
	if (result < 0)
		fail(FAILED, "/dev/tee0 cannot be opened", result);
	session.device = (int)result;
	memcpy(args.uuid, uuid, sizeof(uuid));
	memcpy(args.client, &group, sizeof(group));
	/* Their size is the buffer's: TEE_IOC_OPEN_SESSION takes no more than it says. */
	buffer.length -= sizeof(args.params);
	result = call(SYS_IOCTL, session.device, TEE_OPEN_SESSION, (long)&buffer, 0);
	if (result < 0)
		fail(FAILED, "the secure world cannot be asked", result);
	if (args.result != 0)
		refused("the secure world takes no session", args.result);
	session.id = args.session;
	return session;
}

static void ask(struct firmware_session *session, uint32_t command, const char *what)
{
	struct tee_invoke args = { .function = command, .session = session->id, .count = PARAMS };
	struct tee_buffer buffer = { (uint64_t)&args, sizeof(args) };
	long result;

	memcpy(args.params, session->params, sizeof(args.params));
	result = call(SYS_IOCTL, session->device, TEE_INVOKE, (long)&buffer, 0);
	if (result < 0)
		fail(FAILED, what, result);
	if (args.result != 0)
		refused(what, args.result);
	memcpy(session->params, args.params, sizeof(args.params));
}

/* Makes `piece` memory that OP-TEE may use, in pages wherever they are. Returns its number. */
static uint64_t share_piece(const struct firmware_session *session)
{
	struct tee_register args = { (uint64_t)piece, sizeof(piece), 0, -1 };
	long result = call(SYS_IOCTL, session->device, TEE_REGISTER, (long)&args, 0);

	/* The file that stands for the memory stays open until the end. */
	if (result < 0)
		fail(FAILED, "no memory can be shared with the secure world", result);
	return (uint64_t)args.id;
}

/* Bytes of the standard input, as many as there are up to a piece. */
static size_t next_piece(void)
{
	size_t filled = 0;

	while (filled < sizeof(piece)) {
		long got = call(SYS_READ, 0, (long)(piece + filled), (long)(sizeof(piece) - filled), 0);

		if (got == -EINTR)
			continue;
		if (got < 0)
			fail(FAILED, "the input cannot be read", got);
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	return filled;
}

static void write_bank(struct firmware_session *session, uint32_t offset)
{
	const uint64_t memory = share_piece(session);
	size_t size;

	while ((size = next_piece()) > 0) {
		session->params[0] = (struct tee_param){ VALUE_INPUT, offset, 0, 0 };
		session->params[1] = (struct tee_param){ MEMORY_INPUT, 0, size, memory };
		ask(session, MBL_FW_PTA_WRITE, "the idle bank cannot be written");
		offset += (uint32_t)size;
	}
}

static void read_bank(struct firmware_session *session, uint32_t offset, uint32_t length)
{
	const uint64_t memory = share_piece(session);

	while (length > 0) {
		const uint32_t size = length < sizeof(piece) ? length : (uint32_t)sizeof(piece);

		session->params[0] = (struct tee_param){ VALUE_INPUT, offset, 0, 0 };
		session->params[1] = (struct tee_param){ MEMORY_OUTPUT, 0, size, memory };
		ask(session, MBL_FW_PTA_READ, "the idle bank cannot be read");
		put(1, piece, size);
		offset += size;
		length -= size;
	}
}

static void print(const char *name, uint64_t value)
{
	say(1, name);
	say_number(1, value);
}

static void print_status(struct firmware_session *session)
{
	uint64_t word;

	session->params[0].attribute = VALUE_OUTPUT;
	ask(session, MBL_FW_PTA_STATUS, "the banks cannot be asked for");
	word = session->params[0].a;
	say(1, (word & MBL_FW_STATUS_BANK) == MBL_FW_BANK_B ? "bank=b" : "bank=a");
	print(" trial=", (word & MBL_FW_STATUS_TRIAL) != 0);
	print(" attempts=", word >> MBL_FW_STATUS_ATTEMPTS_SHIFT & MBL_FW_STATUS_ATTEMPTS_MASK);
	print(" confirmed=", (word & MBL_FW_STATUS_CONFIRMED) != 0);
	print(" size=", session->params[0].b);
	say(1, "\n");
}

static void print_counter(struct firmware_session *session, uint32_t counter)
{
	session->params[0] = (struct tee_param){ VALUE_INPUT, counter, 0, 0 };
	session->params[1].attribute = VALUE_OUTPUT;
	ask(session, MBL_FW_PTA_COUNTER, "there is no such counter");
	print("stored=", session->params[1].a);
	print(" pending=", session->params[1].b);
	say(1, "\n");
}

static void copy_bank(struct firmware_session *session)
{
	uint64_t size, copied = 0;

	session->params[0].attribute = VALUE_OUTPUT;
	ask(session, MBL_FW_PTA_STATUS, "the banks cannot be asked for");
	size = session->params[0].b;
	for (uint64_t offset = 0; offset < size; offset += MBL_FW_ERASE_BLOCK) {
		session->params[0] = (struct tee_param){ VALUE_INPUT, offset, 0, 0 };
		session->params[1] = (struct tee_param){ VALUE_OUTPUT, 0, 0, 0 };
		ask(session, MBL_FW_PTA_COPY, "the idle bank cannot be made a copy");
		copied += session->params[1].a;
	}
	print("copied=", copied);
	say(1, "\n");
}

void firmware(int count, char *const *arguments)
{
	const char *command = arguments[0];
	struct firmware_session session;

	if (count == 1 && same(command, "status")) {
		session = open_firmware();
		print_status(&session);
	} else if (count == 2 && same(command, "counter")) {
		const uint32_t counter = (uint32_t)number(arguments[1], UINT32_MAX);

		session = open_firmware();
		print_counter(&session, counter);
	} else if (count == 1 && same(command, "confirm")) {
		session = open_firmware();
		ask(&session, MBL_FW_PTA_CONFIRM, "the running bank cannot be confirmed");
	} else if (count == 2 && same(command, "try") && (same(arguments[1], "a") || same(arguments[1], "b"))) {
		session = open_firmware();
		session.params[0] = (struct tee_param){ VALUE_INPUT, same(arguments[1], "b"), 0, 0 };
		ask(&session, MBL_FW_PTA_TRY, "the bank cannot be tried");
	} else if (count == 2 && same(command, "write")) {
		const uint32_t offset = (uint32_t)number(arguments[1], UINT32_MAX);

		session = open_firmware();
		write_bank(&session, offset);
	} else if (count == 3 && same(command, "read")) {
		const uint32_t offset = (uint32_t)number(arguments[1], UINT32_MAX);
		const uint32_t length = (uint32_t)number(arguments[2], UINT32_MAX);

		session = open_firmware();
		read_bank(&session, offset, length);
	} else if (count == 1 && same(command, "reject")) {
		session = open_firmware();
		ask(&session, MBL_FW_PTA_REJECT, "there is no trial that can be ended");
	} else if (count == 1 && same(command, "copy")) {
		session = open_firmware();
		copy_bank(&session);
	} else {
		return;
	}
	leave(DONE);
}

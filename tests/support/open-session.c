// SPDX-License-Identifier: Apache-2.0
//
// Opens a session with a trusted application and prints what OP-TEE says: `open-session <uuid>` prints `result 0x00000000`. Talks to
// /dev/tee0 (Linux Documentation/userspace-api/tee.rst) and needs no library:
//   aarch64-linux-gnu-gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -o open-session open-session.c
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

// struct tee_ioctl_open_session_arg (include/uapi/linux/tee.h), without parameters.
struct open_session {
	u8 uuid[16];
	u8 client_uuid[16];
	u32 client_login; // 0: TEE_IOCTL_LOGIN_PUBLIC
	u32 cancel_id;
	u32 session;
	u32 result;
	u32 origin;
	u32 parameters;
};

struct buffer {
	u64 pointer;
	u64 length;
};

enum { openat = 56, ioctl = 29, write = 64, exit = 93 };
#define TEE_IOC_OPEN_SESSION 0x8010a402u // _IOR(0xa4, 2, struct tee_ioctl_buf_data)

static long call(long number, long a, long b, long c, long d) {
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

static void say(const char *what, u32 value) {
	static const char digits[] = "0123456789abcdef";
	char line[32];
	int length = 0;
	while (*what) line[length++] = *what++;
	for (int shift = 28; shift >= 0; shift -= 4) line[length++] = digits[value >> shift & 15];
	line[length++] = '\n';
	call(write, 1, (long)line, length, 0);
}

static int digit(char c) {
	if (c >= '0' && c <= '9') return c - '0';
	if (c >= 'a' && c <= 'f') return c - 'a' + 10;
	return -1;
}

__attribute__((used)) void start(long *stack) {
	static struct open_session argument;
	struct buffer buffer = { (u64)&argument, sizeof argument };
	int nibbles = 0;
	if (stack[0] != 2) call(exit, 2, 0, 0, 0);
	// A UUID's octets as they are written (RFC 4122), which is what the driver wants.
	for (const char *c = (const char *)stack[2]; *c != 0 && nibbles < 32; c++)
		if (digit(*c) >= 0) {
			argument.uuid[nibbles / 2] |= digit(*c) << (nibbles % 2 ? 0 : 4);
			nibbles++;
		}
	if (nibbles != 32) call(exit, 2, 0, 0, 0);
	long device = call(openat, -100, (long)"/dev/tee0", 2, 0);
	if (device < 0) {
		say("open 0x", (u32)-device);
		call(exit, 1, 0, 0, 0);
	}
	long status = call(ioctl, device, TEE_IOC_OPEN_SESSION, (long)&buffer, 0);
	if (status < 0) {
		say("ioctl 0x", (u32)-status);
		call(exit, 1, 0, 0, 0);
	}
	say("result 0x", argument.result);
	call(exit, 0, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl start\n");

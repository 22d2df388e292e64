// SPDX-License-Identifier: Apache-2.0
//
// What an app that is hostile tries, one call after the other, each in a process of its own. Prints a line for each: its name and the error
// number, 0 where the call went through. Calls that would do harm where they are let through are made so that they do none. Needs no library:
//   aarch64-linux-gnu-gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns -o probe probe.c
//
//   probe                      all of it, then the end
//   probe connect A.B.C.D PORT SECONDS
//                              one TCP connection: prints "connect 0", or its error number after at most so many seconds
//   probe serve PORT           takes connections, one after the other, and says "app" to each
//   probe wait                 does nothing until it is told to end

#include "../../../os/native/system.h"

void *memset(void *to, int byte, size_t size)
{
	for (char *next = to; size-- > 0; next++)
		*next = (char)byte;
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	const char *source = from;

	for (char *next = to; size-- > 0; next++)
		*next = *source++;
	return to;
}

/* Linux include/uapi/asm-generic/unistd.h, include/uapi/linux/sched.h. */
enum {
	SYS_CHROOT = 51, SYS_MKNODAT = 33, SYS_MOUNT = 40, SYS_PIVOT_ROOT = 41, SYS_VHANGUP = 58, SYS_QUOTACTL = 60,
	SYS_ACCT = 89, SYS_CAPSET = 91, SYS_PERSONALITY = 92, SYS_UNSHARE = 97, SYS_KEXEC_LOAD = 104, SYS_INIT_MODULE = 105,
	SYS_DELETE_MODULE = 106, SYS_CLOCK_SETTIME = 112, SYS_SYSLOG = 116, SYS_PTRACE = 117, SYS_SCHED_SETSCHEDULER = 119,
	SYS_NANOSLEEP = 101, SYS_REBOOT = 142, SYS_SETUID = 146, SYS_SETHOSTNAME = 161,
	SYS_GETPPID = 173, SYS_SOCKET = 198, SYS_BIND = 200, SYS_LISTEN = 201, SYS_ACCEPT = 202, SYS_CONNECT = 203,
	SYS_SETSOCKOPT = 208, SYS_ADD_KEY = 217, SYS_REQUEST_KEY = 218, SYS_KEYCTL = 219, SYS_SWAPON = 224, SYS_MOVE_PAGES = 239,
	SYS_PERF_EVENT_OPEN = 241, SYS_PRLIMIT64 = 261, SYS_FANOTIFY_INIT = 262, SYS_OPEN_BY_HANDLE_AT = 265, SYS_SETNS = 268,
	SYS_KCMP = 272, SYS_FINIT_MODULE = 273, SYS_BPF = 280, SYS_USERFAULTFD = 282, SYS_KEXEC_FILE_LOAD = 294,
	SYS_IO_URING_SETUP = 425, SYS_OPEN_TREE = 428, SYS_CLONE3 = 435, SYS_MEMFD_SECRET = 447,
};

enum { NEWNS = 0x20000, NEWUSER = 0x10000000, NEWNET = 0x40000000, SIGNAL_CHILD = 17 };

static char memory[4096] __attribute__((aligned(4096)));

static long open_to(const char *path, int flags)
{
	return call(SYS_OPENAT, AT_FDCWD, (long)path, flags, 0);
}

static long write_to(const char *path, const char *text)
{
	const long file = open_to(path, O_WRONLY);

	return file < 0 ? file : call(SYS_WRITE, file, (long)text, (long)length_of(text), 0);
}

static long read_of(const char *path)
{
	const long file = open_to(path, 0);
	const long got = file < 0 ? file : call(SYS_READ, file, (long)memory, 64, 0);

	/* Nothing to be read is a refusal too: /proc/kcore and the like are covered by an empty file. */
	return got == 0 ? -ENODATA : got;
}

/* A process with these flags, which ends at once. */
static long clones(long flags)
{
	const long child = call5(SYS_CLONE, flags | SIGNAL_CHILD, 0, 0, 0, 0);

	if (child == 0)
		leave(DONE);
	return child;
}

static long clones3(uint64_t flags)
{
	uint64_t arguments[11] = { flags, 0, 0, 0, SIGNAL_CHILD };
	const long child = call(SYS_CLONE3, (long)arguments, 64, 0, 0);

	if (child == 0)
		leave(DONE);
	return child;
}

static long sockets(int family, int type, int protocol)
{
	return call(SYS_SOCKET, family, type, protocol, 0);
}

static long with_file(long number, const char *path)
{
	const long file = open_to(path, 0);

	return file < 0 ? file : call(number, file, 0, 0, 0);
}

static long ring(void)
{
	uint32_t settings[30] = { 0 };

	return call(SYS_IO_URING_SETUP, 1, (long)settings, 0, 0);
}

static long event(void)
{
	uint32_t attributes[32] = { 1, sizeof(attributes) };

	return call5(SYS_PERF_EVENT_OPEN, (long)attributes, 0, -1, -1, 0);
}

static long map(void)
{
	const uint32_t attributes[16] = { 2, 4, 4, 1 };

	return call(SYS_BPF, 0, (long)attributes, sizeof(attributes), 0);
}

static long capabilities(void)
{
	const uint32_t header[2] = { 0x20080522, 0 }, sets[6] = { 1 << 21, 1 << 21 };

	return call(SYS_CAPSET, (long)header, (long)sets, 0, 0);
}

static long more_files(void)
{
	const uint64_t limit[2] = { 1 << 30, 1 << 30 };

	return call(SYS_PRLIMIT64, 0, 7, (long)limit, 0);
}

static long real_time(void)
{
	const int priority = 1;

	return call(SYS_SCHED_SETSCHEDULER, 0, 1, (long)&priority, 0);
}

static long by_handle(void)
{
	const uint32_t handle[4] = { 8, 1, 2, 0 };

	return call(SYS_OPEN_BY_HANDLE_AT, open_to("/", 0), (long)handle, 0, 0);
}

static long parent(void)
{
	/* PTRACE_ATTACH. */
	return call(SYS_PTRACE, 16, call(SYS_GETPPID, 0, 0, 0, 0), 0, 0);
}

static long set_clock(void)
{
	const int64_t time[2] = { 1, 0 };

	return call(SYS_CLOCK_SETTIME, 0, (long)time, 0, 0);
}

static long device_node(void)
{
	/* A block device. */
	return call(SYS_MKNODAT, AT_FDCWD, (long)"/tmp/node", 060600, 0xfe00);
}

static long new_file(const char *path)
{
	return call(SYS_OPENAT, AT_FDCWD, (long)path, O_WRONLY | 0100, 0600);
}

static long type_for_terminal(void)
{
	const char letter = 'x';
	const long terminal = open_to("/dev/tty", O_RDWR);

	/* TIOCSTI. */
	return terminal < 0 ? terminal : call(SYS_IOCTL, terminal, 0x5412, (long)&letter, 0);
}

struct attempt {
	const char *name;
	long (*make)(void);
};

#define ATTEMPT(name, expression) \
	static long try_##name(void) { return expression; }

#define ALL(_) \
	/* What has to go through: or the others prove nothing. */ \
	_(ok_fork, clones(0)) \
	_(ok_socket, sockets(2, 1, 0)) \
	_(ok_write_tmp, new_file("/tmp/file")) \
	_(ok_read_proc, read_of("/proc/self/status")) \
	/* Namespaces. */ \
	_(unshare_user, call(SYS_UNSHARE, NEWUSER, 0, 0, 0)) \
	_(unshare_mount, call(SYS_UNSHARE, NEWNS, 0, 0, 0)) \
	_(unshare_user_mount, call(SYS_UNSHARE, NEWUSER | NEWNS, 0, 0, 0)) \
	_(clone_user, clones(NEWUSER)) \
	_(clone_user_net, clones(NEWUSER | NEWNET)) \
	_(clone3_user, clones3(NEWUSER)) \
	_(setns, with_file(SYS_SETNS, "/proc/self/ns/user")) \
	/* Mounts. */ \
	_(mount_tmpfs, call5(SYS_MOUNT, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0)) \
	_(remount_root, call5(SYS_MOUNT, 0, (long)"/", 0, 32, 0)) \
	_(umount_proc, call(SYS_UMOUNT2, (long)"/proc", 2, 0, 0)) \
	_(umount_mask, call(SYS_UMOUNT2, (long)"/proc/kcore", 2, 0, 0)) \
	_(fsopen, call(SYS_FSOPEN, (long)"tmpfs", 0, 0, 0)) \
	_(open_tree, call(SYS_OPEN_TREE, AT_FDCWD, (long)"/", 1, 0)) \
	_(pivot_root, call(SYS_PIVOT_ROOT, (long)"/", (long)"/tmp", 0, 0)) \
	_(chroot, call(SYS_CHROOT, (long)"/tmp", 0, 0, 0)) \
	_(open_by_handle, by_handle()) \
	_(fanotify, call(SYS_FANOTIFY_INIT, 0, 0, 0, 0)) \
	_(quotactl, call(SYS_QUOTACTL, 0x80000402, 0, 0, (long)memory)) \
	/* The kernel. */ \
	_(init_module, call(SYS_INIT_MODULE, (long)memory, sizeof(memory), (long)"", 0)) \
	_(finit_module, call(SYS_FINIT_MODULE, open_to("/proc/self/exe", 0), (long)"", 0, 0)) \
	_(delete_module, call(SYS_DELETE_MODULE, (long)"tun", 0, 0, 0)) \
	_(kexec_load, call(SYS_KEXEC_LOAD, 0, 0, 0, 0)) \
	_(kexec_file_load, call(SYS_KEXEC_FILE_LOAD, -1, -1, 0, 0)) \
	/* Enables what is enabled: CAD_ON of reboot(2). */ \
	_(reboot, call(SYS_REBOOT, 0xfee1dead, 672274793, 0x89abcdef, 0)) \
	_(bpf, map()) \
	_(perf_event, event()) \
	_(io_uring, ring()) \
	_(userfaultfd, call(SYS_USERFAULTFD, 0, 0, 0, 0)) \
	_(memfd_secret, call(SYS_MEMFD_SECRET, 0, 0, 0, 0)) \
	_(add_key, call5(SYS_ADD_KEY, (long)"user", (long)"k", (long)"v", 1, -3)) \
	_(request_key, call(SYS_REQUEST_KEY, (long)"user", (long)"k", 0, -3)) \
	_(keyctl, call(SYS_KEYCTL, 0, -3, 1, 0)) \
	_(syslog, call(SYS_SYSLOG, 3, (long)memory, sizeof(memory), 0)) \
	_(swapon, call(SYS_SWAPON, (long)"/tmp/file", 0, 0, 0)) \
	_(acct, call(SYS_ACCT, (long)"/tmp/file", 0, 0, 0)) \
	_(vhangup, call(SYS_VHANGUP, 0, 0, 0, 0)) \
	_(personality, call(SYS_PERSONALITY, 0x40000, 0, 0, 0)) \
	_(kcmp, call5(SYS_KCMP, call(SYS_GETPID, 0, 0, 0, 0), call(SYS_GETPPID, 0, 0, 0, 0), 1, 0, 0)) \
	_(move_pages, call5(SYS_MOVE_PAGES, 0, 0, 0, 0, 0)) \
	/* Clock, name, rights. */ \
	_(clock_settime, set_clock()) \
	_(sethostname, call(SYS_SETHOSTNAME, (long)"stolen", 6, 0, 0)) \
	_(setuid_other, call(SYS_SETUID, 12345, 0, 0, 0)) \
	_(setuid_root, call(SYS_SETUID, 0, 0, 0, 0)) \
	_(capset, capabilities()) \
	_(sched_fifo, real_time()) \
	_(more_files, more_files()) \
	_(ptrace_parent, parent()) \
	_(mknod_block, device_node()) \
	_(tiocsti, type_for_terminal()) \
	/* Sockets. */ \
	_(raw_socket, sockets(2, 3, 1)) \
	_(packet_socket, sockets(17, 3, 0)) \
	_(netlink_audit, sockets(16, 3, 9)) \
	_(netlink_netfilter, sockets(16, 3, 12)) \
	_(alg_socket, sockets(38, 5, 0)) \
	_(vsock_socket, sockets(40, 1, 0)) \
	_(can_socket, sockets(29, 3, 1)) \
	_(bluetooth_socket, sockets(31, 3, 1)) \
	_(key_socket, sockets(15, 3, 2)) \
	/* Files. */ \
	_(write_root, new_file("/file")) \
	_(write_core_pattern, write_to("/proc/sys/kernel/core_pattern", "core")) \
	_(write_modprobe, write_to("/proc/sys/kernel/modprobe", "/tmp/file")) \
	_(write_sysrq, write_to("/proc/sysrq-trigger", "h")) \
	_(write_cgroup, write_to("/sys/fs/cgroup/cgroup.procs", "0")) \
	_(write_sys, write_to("/sys/kernel/mm/ksm/run", "0")) \
	_(read_kcore, read_of("/proc/kcore")) \
	_(read_keys, read_of("/proc/keys")) \
	_(read_firmware, read_of("/sys/firmware/fdt")) \
	_(read_mem, read_of("/dev/mem")) \
	_(read_kmsg, read_of("/dev/kmsg")) \
	_(read_disk, read_of("/dev/vda")) \
	_(open_tee, open_to("/dev/tee0", O_RDWR)) \
	_(open_watchdog, open_to("/dev/watchdog", O_WRONLY)) \
	_(read_factory, read_of("/factory/factory.json")) \
	_(see_data, open_to("/data/apps", O_DIRECTORY)) \
	_(see_journal, open_to("/run/systemd/journal/socket", 0)) \
	_(see_platform, open_to("/run/mbl", O_DIRECTORY))

ALL(ATTEMPT)

#define ENTRY(name, expression) { #name, try_##name },

static const struct attempt attempts[] = { ALL(ENTRY) };

static void report(const char *name, const char *what, uint64_t number)
{
	say(1, name);
	say(1, what);
	say_number(1, number);
	say(1, "\n");
}

static void try_all(void)
{
	for (size_t at = 0; at < sizeof(attempts) / sizeof(*attempts); at++) {
		int status = 0;
		const long child = call5(SYS_CLONE, SIGNAL_CHILD, 0, 0, 0, 0);

		if (child == 0) {
			const long result = attempts[at].make();

			call(SYS_EXIT_GROUP, result < 0 && result > -200 ? -result : 0, 0, 0, 0);
		}
		if (child < 0)
			fail(FAILED, "no process", child);
		while (call(SYS_WAIT4, child, (long)&status, 0, 0) == -EINTR)
			;
		if ((status & 127) != 0)
			report(attempts[at].name, " signal ", (uint64_t)(status & 127));
		else
			report(attempts[at].name, " ", (uint64_t)(status >> 8 & 255));
	}
}

struct address {
	uint16_t family, port;
	uint8_t ip[4], zero[8];
};

static struct address address_of(const char *ip, const char *port)
{
	const uint16_t number_of_port = (uint16_t)number(port, 65535);
	struct address address = { .family = 2, .port = (uint16_t)(number_of_port >> 8 | number_of_port << 8) };
	char part[4];

	for (int at = 0; at < 4; at++) {
		size_t length = 0;

		while (*ip != 0 && *ip != '.' && length < 3)
			part[length++] = *ip++;
		part[length] = 0;
		address.ip[at] = (uint8_t)number(part, 255);
		if (*ip == '.')
			ip++;
	}
	return address;
}

static void connect_to(const char *ip, const char *port, const char *seconds)
{
	const struct address address = address_of(ip, port);
	const int64_t most[2] = { (int64_t)number(seconds, 3600), 0 };
	const long file = sockets(2, 1, 0);
	long result = file;

	if (file >= 0) {
		/* SO_SNDTIMEO bounds connect(2) too. */
		call5(SYS_SETSOCKOPT, file, 1, 21, (long)most, sizeof(most));
		result = call(SYS_CONNECT, file, (long)&address, sizeof(address), 0);
	}
	report("connect", " ", (uint64_t)-result);
}

_Noreturn static void serve(const char *port)
{
	const struct address address = address_of("0.0.0.0", port);
	const long listening = sockets(2, 1, 0);
	const int yes = 1;

	call5(SYS_SETSOCKOPT, listening, 1, 2, (long)&yes, sizeof(yes));
	if (call(SYS_BIND, listening, (long)&address, sizeof(address), 0) < 0 || call(SYS_LISTEN, listening, 8, 0, 0) < 0)
		fail(FAILED, "cannot serve", 0);
	say(1, "serves\n");
	for (;;) {
		const long file = call(SYS_ACCEPT, listening, 0, 0, 0);

		if (file < 0)
			continue;
		call(SYS_WRITE, file, (long)"app\n", 4, 0);
		call(SYS_CLOSE, file, 0, 0, 0);
	}
}

__attribute__((used)) _Noreturn static void start(const long *stack)
{
	char *const *words = (char *const *)(stack + 1);

	if (stack[0] == 5 && same(words[1], "connect")) {
		connect_to(words[2], words[3], words[4]);
	} else if (stack[0] == 3 && same(words[1], "serve")) {
		serve(words[2]);
	} else if (stack[0] == 2 && same(words[1], "wait")) {
		const int64_t hour[2] = { 3600, 0 };

		for (;;)
			call(SYS_NANOSLEEP, (long)hour, 0, 0, 0);
	} else {
		try_all();
	}
	leave(DONE);
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tb start\n");

/* SPDX-License-Identifier: Apache-2.0
 *
 * What os/firmware/trusted-firmware/mbl_qemu calls of TF-A, for a program of the host: the flash is a file, a restart the end of a process.
 * Places and sizes of the flash come from the command line, as they do in TF-A's build.
 */
#ifndef MBL_HOST_TF_A_H
#define MBL_HOST_TF_A_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t u_register_t;

#define U(number) number##U
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define __dead2 __attribute__((noreturn))
#define ERROR(...) ((void)0)
#define NOTICE(...) ((void)0)

/* The RAM that the loaders share, and OP-TEE's. */
extern unsigned char host_shared[4096];
extern unsigned char host_secure[0x100000];
#define BOOT_CHOICE_BASE ((uintptr_t)host_shared)
#define HOLD_SEEN_BASE ((uintptr_t)host_shared + 1024)
#define BL32_MEM_BASE ((uint64_t)(uintptr_t)host_secure)
#define BL32_MEM_SIZE sizeof(host_secure)

/* Addresses of the flash are offsets in the file. */
extern unsigned char *host_flash;
static inline uint32_t mmio_read_32(uintptr_t at)
{
	return *(volatile uint32_t *)(host_flash + at);
}
static inline uint8_t mmio_read_8(uintptr_t at)
{
	return host_flash[at];
}
static inline void mmio_write_32(uintptr_t at, uint32_t value)
{
}
/* Only the words of the cores that wait: they have come. */
static inline uint64_t mmio_read_64(uintptr_t at)
{
	return 1;
}
static inline void mmio_write_64(uintptr_t at, uint64_t value)
{
}

uint32_t host_flash_command(uintptr_t at, const uint32_t *words, size_t count);
#define FLASH_COMMANDS_BASE ((uintptr_t)host_flash_command)
#define DEFINE_SYSOP_TYPE_FUNC(operation, type) \
	static inline void operation##type(void) \
	{ \
	}
static inline void dsbsy(void)
{
}
static inline void isb(void)
{
}
static inline void sev(void)
{
}
static inline uint64_t read_cntpct_el0(void)
{
	return 0;
}
static inline uint64_t read_cntfrq_el0(void)
{
	return 1;
}
static inline void console_flush(void)
{
}
void panic(void) __dead2;
void board_restart(void) __dead2;
void plat_panic_handler(void) __dead2;
void plat_error_handler(int error) __dead2;

/* Of the chain of trust: TF-A include/export/common/tbbr/tbbr_img_def_exp.h, tools_share/tbbr_oid.h. */
typedef struct {
	unsigned int img_id;
} auth_img_desc_t;
#define ROTPK_IS_HASH 1
#define TRUSTED_BOOT_FW_CERT_ID 6
#define TRUSTED_KEY_CERT_ID 7
#define SOC_FW_KEY_CERT_ID 9
#define TRUSTED_OS_FW_KEY_CERT_ID 10
#define NON_TRUSTED_FW_KEY_CERT_ID 11
#define SOC_FW_CONTENT_CERT_ID 13
#define TRUSTED_OS_FW_CONTENT_CERT_ID 14
#define NON_TRUSTED_FW_CONTENT_CERT_ID 15
#define TRUSTED_FW_NVCOUNTER_OID "1.3.6.1.4.1.4128.2100.1"
#define NON_TRUSTED_FW_NVCOUNTER_OID "1.3.6.1.4.1.4128.2100.2"
int plat_get_nv_ctr(void *cookie, unsigned int *value);
int plat_set_nv_ctr2(void *cookie, const auth_img_desc_t *image, unsigned int value);

/* A call: `handle` takes what comes back. */
struct answer {
	uint64_t x[3];
};
#define SMC_RET3(handle, a, b, c) \
	do { \
		((struct answer *)(handle))->x[2] = (uint64_t)(c); \
		SMC_RET2(handle, a, b); \
	} while (0)
#define SMC_RET2(handle, a, b) \
	do { \
		((struct answer *)(handle))->x[1] = (uint64_t)(b); \
		SMC_RET1(handle, a); \
	} while (0)
#define SMC_RET1(handle, a) \
	do { \
		((struct answer *)(handle))->x[0] = (uint64_t)(a); \
		return 0; \
	} while (0)
#define is_caller_secure(flags) ((flags) == 0)
#define is_caller_non_secure(flags) ((flags) != 0)

typedef int spinlock_t;
#define spin_lock(lock) ((void)(lock))
#define spin_unlock(lock) ((void)(lock))

#endif

/* SPDX-License-Identifier: Apache-2.0
 *
 * What os/firmware/u-boot/mbl_boot.c calls of U-Boot, for a program of the host: the partitions are files, and `bootm` starts the slots
 * that the command line says hold a signed FIT.
 */
#ifndef MBL_HOST_U_BOOT_H
#define MBL_HOST_U_BOOT_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long lbaint_t;
typedef unsigned long ulong;
typedef uint32_t u32;
typedef uint32_t fdt32_t;

struct blk_desc {
	unsigned long blksz;
};

struct disk_partition {
	lbaint_t start, size;
	unsigned long blksz;
};

struct cmd_tbl;

struct arm_smccc_res {
	unsigned long a0, a1, a2, a3;
};

#define ALLOC_CACHE_ALIGN_BUFFER(type, name, size) type name[size]
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define SZ_64M 0x04000000
#define CMD_RET_FAILURE 1
#define CMD_RET_USAGE (-1)
#define FDT_MAGIC 0xd00dfeed
#define fdt_magic(fdt) be32toh(((const uint32_t *)(fdt))[0])
#define fdt_totalsize(fdt) be32toh(((const uint32_t *)(fdt))[1])
#define fdt32_to_cpu be32toh
#define IMAGE_SIZE_INVAL ((unsigned long)-1)
#define simple_strtoull strtoull
#define dectoul(text, end) strtoul(text, end, 10)
#define hextoul(text, end) strtoul(text, end, 16)
#define U_BOOT_CMD(name, most, repeatable, function, usage, help) \
	static int (*const command)(struct cmd_tbl *, int, int, char *const[]) = function

struct blk_desc *blk_get_dev(const char *interface, int device);
int part_get_info_by_name(struct blk_desc *disk, const char *name, struct disk_partition *partition);
unsigned long blk_dread(struct blk_desc *disk, lbaint_t start, lbaint_t count, void *into);
unsigned long blk_dwrite(struct blk_desc *disk, lbaint_t start, lbaint_t count, const void *from);
void *map_sysmem(unsigned long address, unsigned long length);
void mdelay(unsigned long milliseconds);
int do_reset(struct cmd_tbl *command, int flag, int argc, char *const argv[]);
int fit_check_format(const void *fit, unsigned long size);
int fit_conf_get_node(const void *fit, const char *name);
int fit_config_verify(const void *fit, int configuration);
const void *fdt_getprop(const void *fdt, int node, const char *name, int *length);
void arm_smccc_smc(unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3, unsigned long a4,
		   unsigned long a5, unsigned long a6, unsigned long a7, struct arm_smccc_res *result);
int do_bootm(struct cmd_tbl *command, int flag, int argc, char *const argv[]);

#endif

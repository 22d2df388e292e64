# SPDX-License-Identifier: BSD-3-Clause
#
# TF-A's QEMU `virt` platform as a board that comes back from anything. The builder lays this folder into TF-A's plat/ and gives the
# place and size of the FIP's bank in the flash.

include plat/qemu/qemu/platform.mk

MBL_QEMU_PATH	:= plat/mbl/mbl_qemu

# Before QEMU's own: platform_def.h here includes that one.
PLAT_INCLUDES	:= -I${MBL_QEMU_PATH}/include ${PLAT_INCLUDES}

$(eval $(call add_defines,CORES FLASH_ERASE_BLOCK FLASH_BANK_A FLASH_BANK_B FLASH_BANK_SIZE FLASH_STATE_A FLASH_STATE_B))

# Semihosting asks a debugger for files, and traps where there is none: images come from the flash only.
DEBUGGER_SOURCES := drivers/io/io_semihosting.c			\
		    lib/semihosting/semihosting.c		\
		    lib/semihosting/${ARCH}/semihosting_call.S	\
		    plat/qemu/common/qemu_io_storage.c

# What a source of ours stands in for; memory_map.c and hold.S include theirs.
REPLACED_SOURCES := ${DEBUGGER_SOURCES}				\
		    plat/common/tbbr/plat_tbbr.c		\
		    plat/qemu/common/qemu_trusted_boot.c	\
		    plat/qemu/common/aarch64/plat_helpers.S

PLAT_BL_COMMON_SOURCES := $(filter-out %/qemu_common.c,${PLAT_BL_COMMON_SOURCES}) ${MBL_QEMU_PATH}/memory_map.c

FLASH_SOURCES	:= ${MBL_QEMU_PATH}/boot_choice.c		\
		   ${MBL_QEMU_PATH}/firmware_state.c		\
		   ${MBL_QEMU_PATH}/flash.c			\
		   ${MBL_QEMU_PATH}/flash_commands.S		\
		   ${MBL_QEMU_PATH}/hold.S			\
		   ${MBL_QEMU_PATH}/restart.S

LOADER_SOURCES	:= ${FLASH_SOURCES}				\
		   ${MBL_QEMU_PATH}/image_source.c		\
		   ${MBL_QEMU_PATH}/refusal.c			\
		   ${MBL_QEMU_PATH}/trusted_boot.c

BL1_SOURCES	:= $(filter-out ${REPLACED_SOURCES},${BL1_SOURCES}) ${LOADER_SOURCES}
BL2_SOURCES	:= $(filter-out ${REPLACED_SOURCES},${BL2_SOURCES}) ${LOADER_SOURCES}
BL31_SOURCES	:= $(filter-out ${REPLACED_SOURCES},${BL31_SOURCES}) ${FLASH_SOURCES} \
		   ${MBL_QEMU_PATH}/firmware_update.c		\
		   ${MBL_QEMU_PATH}/idle_bank.c			\
		   ${MBL_QEMU_PATH}/sip.c			\
		   ${MBL_QEMU_PATH}/watchdog.c

# SPDX-License-Identifier: BSD-3-Clause
#
# TF-A's QEMU `virt` platform as a board that comes back from anything. The builder lays this folder into TF-A's plat/ and gives the
# place and size of the FIP's bank in the flash.

include plat/qemu/qemu/platform.mk

MBL_QEMU_PATH	:= plat/mbl/mbl_qemu

# Before QEMU's own: platform_def.h here includes that one.
PLAT_INCLUDES	:= -I${MBL_QEMU_PATH}/include ${PLAT_INCLUDES}

$(eval $(call add_defines,FLASH_BANK_A FLASH_BANK_SIZE))

# Semihosting asks a debugger for files, and traps where there is none: images come from the flash only.
DEBUGGER_SOURCES := drivers/io/io_semihosting.c			\
		    lib/semihosting/semihosting.c		\
		    lib/semihosting/${ARCH}/semihosting_call.S	\
		    plat/qemu/common/qemu_io_storage.c

LOADER_SOURCES	:= ${MBL_QEMU_PATH}/image_source.c		\
		   ${MBL_QEMU_PATH}/restart.S

BL1_SOURCES	:= $(filter-out ${DEBUGGER_SOURCES},${BL1_SOURCES}) ${LOADER_SOURCES}
BL2_SOURCES	:= $(filter-out ${DEBUGGER_SOURCES},${BL2_SOURCES}) ${LOADER_SOURCES}
BL31_SOURCES	:= $(filter-out ${DEBUGGER_SOURCES},${BL31_SOURCES})	\
		   ${MBL_QEMU_PATH}/restart.S			\
		   ${MBL_QEMU_PATH}/watchdog.c

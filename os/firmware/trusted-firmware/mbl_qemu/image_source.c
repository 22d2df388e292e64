/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where BL1 and BL2 take images from: the FIP in the bank that BL1 chose, and nowhere else.
 */
#include <errno.h>
#include <string.h>

#include <common/debug.h>
#include <drivers/io/io_driver.h>
#include <drivers/io/io_fip.h>
#include <drivers/io/io_memmap.h>
#include <drivers/io/io_storage.h>
#include <export/common/tbbr/tbbr_img_def_exp.h>
#include <lib/utils_def.h>
#include <plat/common/platform.h>
#include <tools_share/firmware_image_package.h>

#include <platform_def.h>

#include "../../qemu/common/qemu_private.h"
#include "boot_choice.h"

static uintptr_t flash;
static uintptr_t package;

static const io_block_spec_t banks[] = {
	[MBL_FW_BANK_A] = {
		.offset = QEMU_FLASH0_BASE + FLASH_BANK_A,
		.length = FLASH_BANK_SIZE,
	},
	[MBL_FW_BANK_B] = {
		.offset = QEMU_FLASH0_BASE + FLASH_BANK_B,
		.length = FLASH_BANK_SIZE,
	},
};

/* What the board boots, by image id. The names are io_fip's. */
static const io_uuid_spec_t images[] = {
	[BL2_IMAGE_ID] = { UUID_TRUSTED_BOOT_FIRMWARE_BL2 },
	[BL31_IMAGE_ID] = { UUID_EL3_RUNTIME_FIRMWARE_BL31 },
	[BL32_IMAGE_ID] = { UUID_SECURE_PAYLOAD_BL32 },
	[BL32_EXTRA1_IMAGE_ID] = { UUID_SECURE_PAYLOAD_BL32_EXTRA1 },
	[BL32_EXTRA2_IMAGE_ID] = { UUID_SECURE_PAYLOAD_BL32_EXTRA2 },
	[BL33_IMAGE_ID] = { UUID_NON_TRUSTED_FIRMWARE_BL33 },
	[TRUSTED_BOOT_FW_CERT_ID] = { UUID_TRUSTED_BOOT_FW_CERT },
	[TRUSTED_KEY_CERT_ID] = { UUID_TRUSTED_KEY_CERT },
	[SOC_FW_KEY_CERT_ID] = { UUID_SOC_FW_KEY_CERT },
	[SOC_FW_CONTENT_CERT_ID] = { UUID_SOC_FW_CONTENT_CERT },
	[TRUSTED_OS_FW_KEY_CERT_ID] = { UUID_TRUSTED_OS_FW_KEY_CERT },
	[TRUSTED_OS_FW_CONTENT_CERT_ID] = { UUID_TRUSTED_OS_FW_CONTENT_CERT },
	[NON_TRUSTED_FW_KEY_CERT_ID] = { UUID_NON_TRUSTED_FW_KEY_CERT },
	[NON_TRUSTED_FW_CONTENT_CERT_ID] = { UUID_NON_TRUSTED_FW_CONTENT_CERT },
};

void plat_qemu_io_setup(void)
{
	const io_dev_connector_t *flash_connector;
	const io_dev_connector_t *package_connector;

	if (register_io_dev_memmap(&flash_connector) != 0 ||
	    register_io_dev_fip(&package_connector) != 0 ||
	    io_dev_open(flash_connector, (uintptr_t)NULL, &flash) != 0 ||
	    io_dev_open(package_connector, (uintptr_t)NULL, &package) != 0)
		panic();
#ifdef IMAGE_BL1
	boot_choose();
#endif
}

int plat_get_image_source(unsigned int image_id, uintptr_t *device,
			  uintptr_t *spec)
{
	static const uuid_t nothing;

	/* io_fip asks for the package itself under this id. */
	if (image_id == FIP_IMAGE_ID) {
		*device = flash;
		*spec = (uintptr_t)&banks[boot_choice()->bank & 1U];
		return 0;
	}
	if (image_id >= ARRAY_SIZE(images) ||
	    memcmp(&images[image_id].uuid, &nothing, sizeof(nothing)) == 0)
		return -ENOENT;
	*device = package;
	*spec = (uintptr_t)&images[image_id];
	/* Checks the package's header. */
	return io_dev_init(package, FIP_IMAGE_ID);
}

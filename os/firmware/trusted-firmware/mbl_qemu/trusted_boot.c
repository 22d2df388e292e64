/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the chain of trust asks of the board: whose key is the root, and how old an image may be (Trusted Board Boot, §"Trusted firmware
 * counters"). A certificate raises no counter: its value is pending until the firmware that it belongs to has proved good.
 */
#include <stdbool.h>
#include <string.h>

#include <drivers/auth/auth_mod.h>
#include <plat/common/platform.h>
#include <tools_share/tbbr_oid.h>

#include <platform_def.h>

#include "boot_choice.h"
#include "firmware_state.h"

extern char qemu_rotpk_hash[], qemu_rotpk_hash_end[];

int plat_get_rotpk_info(void *cookie, void **key_ptr, unsigned int *key_len,
			unsigned int *flags)
{
	*key_ptr = qemu_rotpk_hash;
	*key_len = (unsigned int)(qemu_rotpk_hash_end - qemu_rotpk_hash);
	*flags = ROTPK_IS_HASH;
	return 0;
}

static unsigned int counter_of(const char *oid)
{
	return (strcmp(oid, TRUSTED_FW_NVCOUNTER_OID) == 0) ?
		MBL_FW_COUNTER_TRUSTED : MBL_FW_COUNTER_NON_TRUSTED;
}

/*
 * What a certificate must at least have: what is stored, or what the first certificate of its chain said. So all of a firmware have the
 * same value, or it fails on trial: once confirmed it would refuse itself.
 */
int plat_get_nv_ctr(void *cookie, unsigned int *nv_ctr)
{
	*nv_ctr = boot_choice()->pending[counter_of(cookie)];
	return 0;
}

/* A verified certificate has a higher value than that. Returns 0 to accept it. */
int plat_set_nv_ctr2(void *cookie, const auth_img_desc_t *img_desc,
		     unsigned int nv_ctr)
{
	unsigned int counter = counter_of(cookie);
	/* The one is BL1's to verify, signed by the root key; the other is the first of U-Boot's. */
	unsigned int first = (counter == MBL_FW_COUNTER_TRUSTED) ?
		TRUSTED_BOOT_FW_CERT_ID : NON_TRUSTED_FW_KEY_CERT_ID;

	if (nv_ctr > FIRMWARE_COUNTER_MOST || img_desc->img_id != first)
		return 1;
	boot_choice()->pending[counter] = nv_ctr;
	return 0;
}

int plat_set_nv_ctr(void *cookie, unsigned int nv_ctr)
{
	return 1;
}

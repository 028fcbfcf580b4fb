// SPDX-License-Identifier: GPL-2.0
#include "caps.h"

#include <sys/syscall.h>
#include <unistd.h>

int caps_get(struct caps *caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	caps->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	caps->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	caps->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

int caps_set(const struct caps *caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)caps->effective, (uint32_t)caps->permitted,
		  (uint32_t)caps->inheritable },
		{ (uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32),
		  (uint32_t)(caps->inheritable >> 32) },
	};

	return (int)syscall(SYS_capset, &head, data);
}

bool caps_have(int cap)
{
	struct caps caps;

	return caps_get(&caps) == 0 && caps.effective & CAPS_BIT(cap);
}

int caps_keep(uint64_t keep)
{
	struct caps caps;

	if (caps_get(&caps) < 0)
		return -1;
	caps.effective &= keep;
	caps.permitted &= keep;
	caps.inheritable &= keep;
	return caps_set(&caps);
}

void caps_end_loan(void)
{
	if (geteuid() != 0)
		caps_keep(0);
}

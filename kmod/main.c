// SPDX-License-Identifier: GPL-2.0
/* Load and unload: each part's init, undone in reverse order. */
#include <linux/module.h>
#include "access.h"
#include "netlink.h"
#include "restore.h"
#include "session.h"
#include "version.h"

static int __init ckpt_init(void)
{
	int ret;

	ret = ckpt_access_init();
	if (ret)
		return ret;
	ret = ckpt_session_init();
	if (ret)
		goto err_access;
	ret = ckpt_netlink_init();
	if (ret)
		goto err_session;
	return 0;

err_session:
	ckpt_session_exit();
err_access:
	ckpt_access_exit();
	return ret;
}

static void __exit ckpt_exit(void)
{
	ckpt_netlink_exit();
	ckpt_restore_exit();
	ckpt_session_exit();
	ckpt_access_exit();
}

module_init(ckpt_init);
module_exit(ckpt_exit);
MODULE_DESCRIPTION("Checkpoint and restart of a cgroup's tasks");
MODULE_VERSION(CKPT_VERSION);
MODULE_LICENSE("GPL");
MODULE_ALIAS("net-pf-16-proto-16-family-" CKPT_GENL_NAME);

// SPDX-License-Identifier: GPL-2.0
#include "netlink.h"
#include <linux/file.h>
#include <linux/module.h>
#include <linux/user.h>
#include <net/sock.h>
#include "access.h"
#include "arch/x86/regs.h"
#include "compat/netlink.h"
#include "freezer.h"
#include "restore.h"
#include "session.h"
#include "version.h"

static struct genl_family family;

static struct netlink_range_validation range_ms = { .min = 1, .max = CKPT_MAX_MS };
static struct netlink_range_validation range_threads = { .min = 1, .max = CKPT_MAX_THREADS };

static const struct nla_policy policy[CKPT_A_MAX + 1] = {
	[CKPT_A_CGROUP_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[CKPT_A_FREEZE_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_ms),
	[CKPT_A_DEADLINE_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_ms),
	[CKPT_A_MEM_FDS] = { .type = NLA_BINARY, .len = CKPT_MAX_FDS * sizeof(s32) },
	[CKPT_A_MODE] = NLA_POLICY_RANGE(NLA_U32, CKPT_MODE_COW, CKPT_MODE_HELD),
	[CKPT_A_LEAVE_FROZEN] = { .type = NLA_FLAG },
	[CKPT_A_PAGE_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[CKPT_A_INDEX_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[CKPT_A_PID] = NLA_POLICY_MIN(NLA_S32, 1),
	[CKPT_A_NR_THREADS] = NLA_POLICY_FULL_RANGE(NLA_U32, &range_threads),
	[CKPT_A_SESSION] = NLA_POLICY_MIN(NLA_U32, 1),
	[CKPT_A_PLAN_ADDR] = { .type = NLA_U64 },
	[CKPT_A_REGS] = NLA_POLICY_EXACT_LEN(sizeof(struct user_regs_struct)),
	[CKPT_A_XSTATE] = { .type = NLA_BINARY, .len = U16_MAX },
	[CKPT_A_SIGMASK] = { .type = NLA_U64 },
	[CKPT_A_RSEQ_ADDR] = { .type = NLA_U64 },
	[CKPT_A_RSEQ_LEN] = { .type = NLA_U32 },
	[CKPT_A_RSEQ_SIG] = { .type = NLA_U32 },
	[CKPT_A_STOPPED] = NLA_POLICY_MAX(NLA_U32, _NSIG),
	[CKPT_A_OMIT] = { .type = NLA_FLAG },
};

/* What a request needs, made sure of before its handler runs. */
enum need {
	NEED_NOTHING,		/* INFO */
	NEED_SENDER,		/* the sender opened the socket itself */
	NEED_SESSION,		/* and has a session */
	NEED_SESSION_ID,	/* the sender names a restart session, which decides about it */
};

static const enum need needs[__CKPT_CMD_MAX] = {
	[CKPT_CMD_FREEZE] = NEED_SENDER,
	[CKPT_CMD_OPEN] = NEED_SENDER,
	[CKPT_CMD_PROVE] = NEED_SESSION,
	[CKPT_CMD_SNAPSHOT] = NEED_SESSION,
	[CKPT_CMD_THAW] = NEED_SESSION,
	[CKPT_CMD_WRITE] = NEED_SESSION,
	[CKPT_CMD_PARK] = NEED_SESSION_ID,
	[CKPT_CMD_RESTORE] = NEED_SESSION_ID,
	[CKPT_CMD_SET] = NEED_SESSION,
	[CKPT_CMD_COMMIT] = NEED_SESSION,
};

static int missing(struct genl_info *info, enum ckpt_attr attr)
{
	if (info->attrs[attr])
		return 0;
	NL_SET_ERR_MSG(info->extack, "the request lacks a mandatory attribute");
	return -EINVAL;
}

static int find_session(u8 cmd, struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s;
	int ret;

	if (needs[cmd] == NEED_SESSION) {
		s = ckpt_session_find(NETLINK_CB(skb).sk);
	} else {
		if (missing(info, CKPT_A_SESSION))
			return -EINVAL;
		s = ckpt_session_find_id(genl_info_net(info),
					 nla_get_u32(info->attrs[CKPT_A_SESSION]));
	}
	if (!s) {
		NL_SET_ERR_MSG(info->extack, "there is no such session, or it is over");
		return -ENOTCONN;
	}
	/* What changes the phase asks again, with the lock. */
	ret = ckpt_session_allows(s, cmd, info->extack);
	if (ret)
		ckpt_session_put(s);
	else
		info->user_ptr[0] = s;
	return ret;
}

static int pre_doit(const struct genl_split_ops *op, struct sk_buff *skb, struct genl_info *info)
{
	enum need need = needs[op->cmd];
	int ret;

	info->user_ptr[0] = NULL;
	if (need == NEED_NOTHING)
		return 0;
	if (need != NEED_SESSION_ID) {
		ret = ckpt_access_sender(skb, info->extack);
		if (ret || need == NEED_SENDER)
			return ret;
	}
	return find_session(op->cmd, skb, info);
}

static void post_doit(const struct genl_split_ops *op, struct sk_buff *skb, struct genl_info *info)
{
	ckpt_session_put(info->user_ptr[0]);
}

/**
 * ckpt_netlink_begin() - begin a message to a user of the family
 * @skb: an empty one with room
 * @cmd: enum ckpt_cmd
 *
 * Return: for genlmsg_end(), or NULL where there is no room.
 */
void *ckpt_netlink_begin(struct sk_buff *skb, u8 cmd)
{
	return genlmsg_put(skb, 0, 0, &family, 0, cmd);
}

/**
 * ckpt_netlink_message() - the same with a new skb
 * @cmd: enum ckpt_cmd
 * @payload: bytes of attributes
 * @head: for genlmsg_end()
 *
 * Return: the message or NULL.
 */
struct sk_buff *ckpt_netlink_message(u8 cmd, size_t payload, void **head)
{
	struct sk_buff *skb = genlmsg_new(payload, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = ckpt_netlink_begin(skb, cmd);
	if (!*head) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

static int do_info(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *head;

	if (!reply)
		return -ENOMEM;
	head = genlmsg_put_reply(reply, info, &family, 0, CKPT_CMD_INFO);
	if (!head ||
	    nla_put_u32(reply, CKPT_A_ABI, CKPT_ABI) ||
	    nla_put_string(reply, CKPT_A_VERSION, CKPT_VERSION) ||
	    nla_put_u32(reply, CKPT_A_FEATURES,
			ckpt_access_can_prove() ? CKPT_FEATURE_PROOF : 0) ||
	    nla_put_u32(reply, CKPT_A_NR_SESSIONS, ckpt_session_count()) ||
	    nla_put_u64_64bit(reply, CKPT_A_XFEATURES, ckpt_regs_xfeatures(), CKPT_A_PAD) ||
	    nla_put_u32(reply, CKPT_A_XSTATE_SIZE, ckpt_regs_xstate_size())) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

static u32 get_u32(struct genl_info *info, enum ckpt_attr attr, u32 otherwise)
{
	return info->attrs[attr] ? nla_get_u32(info->attrs[attr]) : otherwise;
}

static u64 get_u64(struct genl_info *info, enum ckpt_attr attr)
{
	return info->attrs[attr] ? nla_get_u64(info->attrs[attr]) : 0;
}

static int do_freeze(struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s;
	int ret;

	if (missing(info, CKPT_A_CGROUP_FD))
		return -EINVAL;
	s = ckpt_session_open(NETLINK_CB(skb).sk, info->snd_portid, info->extack);
	if (IS_ERR(s))
		return PTR_ERR(s);
	s->admin = netlink_capable(skb, CAP_SYS_ADMIN);
	s->freeze_ms = get_u32(info, CKPT_A_FREEZE_MS, CKPT_DEFAULT_FREEZE_MS);
	s->deadline_ms = get_u32(info, CKPT_A_DEADLINE_MS, CKPT_DEFAULT_DEADLINE_MS);
	ret = ckpt_freezer_open(s, nla_get_s32(info->attrs[CKPT_A_CGROUP_FD]), info->extack);
	if (!ret)
		ret = ckpt_session_start(s, CKPT_CMD_FREEZE, NULL, info->extack);
	if (ret)
		ckpt_session_unlink(s);
	ckpt_session_put(s);
	return ret;
}

static int do_prove(struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s = info->user_ptr[0];
	struct nlattr *fds = info->attrs[CKPT_A_MEM_FDS];
	int ret;

	if (missing(info, CKPT_A_MEM_FDS))
		return -EINVAL;
	mutex_lock(&s->lock);
	ret = ckpt_session_allows(s, CKPT_CMD_PROVE, info->extack);
	if (!ret)
		ret = ckpt_access_prove(s, nla_data(fds), nla_len(fds) / sizeof(s32),
					info->attrs[CKPT_A_OMIT], info->extack);
	mutex_unlock(&s->lock);
	return ret;
}

static int do_snapshot(struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s = info->user_ptr[0];

	if (missing(info, CKPT_A_MODE))
		return -EINVAL;
	return ckpt_session_start(s, CKPT_CMD_SNAPSHOT, &(struct ckpt_request){
		.mode = nla_get_u32(info->attrs[CKPT_A_MODE]),
	}, info->extack);
}

static int do_thaw(struct sk_buff *skb, struct genl_info *info)
{
	return ckpt_session_start(info->user_ptr[0], CKPT_CMD_THAW, &(struct ckpt_request){
		.leave_frozen = info->attrs[CKPT_A_LEAVE_FROZEN],
	}, info->extack);
}

static int get_sink(struct genl_info *info, enum ckpt_attr attr, struct file **file)
{
	*file = fget(nla_get_s32(info->attrs[attr]));
	if (!*file) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr], "the descriptor is not open");
		return -EBADF;
	}
	/* Those of /proc look like regular ones, too, but cannot be written to by iterator. */
	if (!((*file)->f_mode & FMODE_WRITE) || !S_ISREG(file_inode(*file)->i_mode) ||
	    !(*file)->f_op->write_iter) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr],
				    "the descriptor is not a regular file open for writing");
		fput(*file);
		return -EBADF;
	}
	return 0;
}

static int do_write(struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s = info->user_ptr[0];
	struct ckpt_request req = {};
	int ret;

	if (!info->attrs[CKPT_A_PAGE_FD] != !info->attrs[CKPT_A_INDEX_FD])
		return missing(info, info->attrs[CKPT_A_PAGE_FD] ? CKPT_A_INDEX_FD : CKPT_A_PAGE_FD);
	if (info->attrs[CKPT_A_PAGE_FD]) {
		ret = get_sink(info, CKPT_A_PAGE_FD, &req.page_file);
		if (ret)
			return ret;
		ret = get_sink(info, CKPT_A_INDEX_FD, &req.index_file);
		if (ret)
			goto err_page_file;
	}
	ret = ckpt_session_start(s, CKPT_CMD_WRITE, &req, info->extack);
	if (!ret)
		return 0;
	if (req.index_file)
		fput(req.index_file);
err_page_file:
	if (req.page_file)
		fput(req.page_file);
	return ret;
}

/* DUMP, DUMP_PAGES: the cursor is (session, byte position, list of records, its version). */
static int dump_start(struct netlink_callback *cb)
{
	struct ckpt_session *s = ckpt_session_find(NETLINK_CB(cb->skb).sk);

	if (!s) {
		NL_SET_ERR_MSG(cb->extack, "there is no session");
		return -ENOTCONN;
	}
	cb->args[0] = (long)s;
	cb->args[2] = (long)&s->records;
	cb->min_dump_alloc = SZ_64K;
	return 0;
}

static int dump_pages_start(struct netlink_callback *cb)
{
	int ret = dump_start(cb);

	if (!ret)
		cb->args[2] = (long)&((struct ckpt_session *)cb->args[0])->page_records;
	return ret;
}

static int dump_next(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct ckpt_records *records = (struct ckpt_records *)cb->args[2];
	struct ckpt_session *s = (struct ckpt_session *)cb->args[0];
	struct nlattr *attr;
	ssize_t n = -ECANCELED;
	void *head;
	int room;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &family,
			   NLM_F_MULTI,
			   ((struct genlmsghdr *)nlmsg_data(cb->nlh))->cmd);
	if (!head)
		return -EMSGSIZE;
	room = min_t(int, skb_tailroom(skb) - NLA_HDRLEN, U16_MAX - NLA_HDRLEN) & ~7;
	attr = nla_reserve(skb, CKPT_A_RECORDS, max(room, 0));
	if (!attr)
		return -EMSGSIZE;
	mutex_lock(&s->lock);
	if (!cb->args[1])
		cb->args[3] = records->version;
	/* A list that was replaced meanwhile has something else at this position. */
	if ((s->phase == CKPT_SNAPPED || s->phase == CKPT_THAWED) && s->op != CKPT_CMD_SNAPSHOT &&
	    (records == &s->records || s->op != CKPT_CMD_WRITE) && cb->args[3] == records->version)
		n = ckpt_records_copy(records, cb->args[1], nla_data(attr), room);
	mutex_unlock(&s->lock);
	if (n <= 0) {
		genlmsg_cancel(skb, head);
		return n;
	}
	attr->nla_len = nla_attr_size(n);
	skb_trim(skb, (unsigned char *)attr + nla_total_size(n) - skb->data);
	genlmsg_end(skb, head);
	cb->args[1] += n;
	return skb->len;
}

static int dump_done(struct netlink_callback *cb)
{
	ckpt_session_put((struct ckpt_session *)cb->args[0]);
	return 0;
}

static int do_open(struct sk_buff *skb, struct genl_info *info)
{
	struct ckpt_session *s;
	struct sk_buff *reply;
	void *head;
	int ret = -ENOMEM;

	if (missing(info, CKPT_A_NR_THREADS))
		return -EINVAL;
	s = ckpt_session_open(NETLINK_CB(skb).sk, info->snd_portid, info->extack);
	if (IS_ERR(s))
		return PTR_ERR(s);
	s->admin = netlink_capable(skb, CAP_SYS_ADMIN);
	/* The rule of prctl(2), PR_SET_MM_MAP. */
	s->may_set_exe = ckpt_access_capable(skb, CAP_CHECKPOINT_RESTORE) ||
			 ckpt_access_capable(skb, CAP_SYS_ADMIN);
	reply = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!reply)
		goto err_session;
	head = genlmsg_put_reply(reply, info, &family, 0, CKPT_CMD_OPEN);
	if (!head || nla_put_u32(reply, CKPT_A_SESSION, s->id))
		goto err_reply;
	genlmsg_end(reply, head);
	ret = ckpt_restore_open(s, nla_get_u32(info->attrs[CKPT_A_NR_THREADS]));
	if (ret)
		goto err_reply;
	ckpt_session_put(s);
	return genlmsg_reply(reply, info);

err_reply:
	nlmsg_free(reply);
err_session:
	ckpt_session_unlink(s);
	ckpt_session_put(s);
	return ret;
}

static int do_park(struct sk_buff *skb, struct genl_info *info)
{
	return ckpt_restore_park(info->user_ptr[0], skb, 0, info->extack);
}

static int do_restore(struct sk_buff *skb, struct genl_info *info)
{
	u64 addr = get_u64(info, CKPT_A_PLAN_ADDR);

	if (missing(info, CKPT_A_PLAN_ADDR))
		return -EINVAL;
	if (!addr) {
		NL_SET_ERR_MSG(info->extack, "a plan cannot be at address 0");
		return -EINVAL;
	}
	return ckpt_restore_park(info->user_ptr[0], skb, addr, info->extack);
}

static int do_set(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;

	if (missing(info, CKPT_A_PID) || missing(info, CKPT_A_REGS) ||
	    missing(info, CKPT_A_XSTATE) || missing(info, CKPT_A_SIGMASK))
		return -EINVAL;
	return ckpt_restore_set(info->user_ptr[0], &(struct ckpt_thread_state){
		.pid = nla_get_s32(a[CKPT_A_PID]),
		.regs = nla_data(a[CKPT_A_REGS]),
		.regs_len = nla_len(a[CKPT_A_REGS]),
		.xstate = nla_data(a[CKPT_A_XSTATE]),
		.xstate_len = nla_len(a[CKPT_A_XSTATE]),
		.sigmask = get_u64(info, CKPT_A_SIGMASK),
		.rseq_addr = get_u64(info, CKPT_A_RSEQ_ADDR),
		.rseq_len = get_u32(info, CKPT_A_RSEQ_LEN, 0),
		.rseq_sig = get_u32(info, CKPT_A_RSEQ_SIG, 0),
		.stopped = a[CKPT_A_STOPPED],
		.stop_signal = get_u32(info, CKPT_A_STOPPED, 0),
	}, info->extack);
}

static int do_commit(struct sk_buff *skb, struct genl_info *info)
{
	return ckpt_session_start(info->user_ptr[0], CKPT_CMD_COMMIT, NULL, info->extack);
}

static const struct genl_ops ops[] = {
	{ .cmd = CKPT_CMD_INFO, .doit = do_info },
	{ .cmd = CKPT_CMD_FREEZE, .doit = do_freeze },
	{ .cmd = CKPT_CMD_PROVE, .doit = do_prove },
	{ .cmd = CKPT_CMD_SNAPSHOT, .doit = do_snapshot },
	{ .cmd = CKPT_CMD_DUMP, .start = dump_start, .dumpit = dump_next, .done = dump_done },
	{ .cmd = CKPT_CMD_DUMP_PAGES, .start = dump_pages_start, .dumpit = dump_next,
	  .done = dump_done },
	{ .cmd = CKPT_CMD_THAW, .doit = do_thaw },
	{ .cmd = CKPT_CMD_WRITE, .doit = do_write },
	{ .cmd = CKPT_CMD_OPEN, .doit = do_open },
	{ .cmd = CKPT_CMD_PARK, .doit = do_park },
	{ .cmd = CKPT_CMD_RESTORE, .doit = do_restore },
	{ .cmd = CKPT_CMD_SET, .doit = do_set },
	{ .cmd = CKPT_CMD_COMMIT, .doit = do_commit },
};

static struct genl_family family __ro_after_init = {
	.name = CKPT_GENL_NAME,
	.version = CKPT_GENL_VERSION,
	.maxattr = CKPT_A_MAX,
	.policy = policy,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.pre_doit = pre_doit,
	.post_doit = post_doit,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
};

/**
 * ckpt_netlink_init() - from here on requests come in
 *
 * Return: 0 or a negative errno.
 */
int ckpt_netlink_init(void)
{
	return genl_register_family(&family);
}

/**
 * ckpt_netlink_exit() - no more requests; those under way have ended
 */
void ckpt_netlink_exit(void)
{
	genl_unregister_family(&family);
}

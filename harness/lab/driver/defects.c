// SPDX-License-Identifier: GPL-2.0-only
/* The names of the driver's defects: see defects.h. */
#include "defects.h"

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

static const char *const names[DEFECTS] = {
	[DRAINED_ZERO] = "drained-zero", /* read() returns 0, not ENOMSG, when PRE_COPY has nothing now */
	[STOP_COPY_ENOMSG] = "stop-copy-enomsg", /* read() ends STOP_COPY with ENOMSG, not 0 */
	[READ_AFTER_END] = "read-after-end", /* read() returns 0 after the saving group was left */
	[READ_IGNORES_POINTER] = "read-ignores-pointer", /* read() into bad memory returns a count */
	[WRITE_AFTER_END] = "write-after-end", /* write() succeeds after RESUMING was left */
	[WRITE_WHOLE_ONLY] = "write-whole-only", /* writes of less than 16 bytes are refused */
	[WRITE_TAKES_FOREIGN] = "write-takes-foreign", /* data of another device is accepted, and the load completes */
	[RESUME_TAKES_TRUNCATED] = "resume-takes-truncated", /* RESUMING is left while data is missing */
	[LOAD_CORRUPTS] = "load-corrupts", /* what is saved after a load differs from what was loaded */
	[INFO_OUTSIDE_PRECOPY] = "info-outside-precopy", /* precopy info succeeds in STOP_COPY */
	[INFO_TAKES_SHORT_ARGSZ] = "info-takes-short-argsz", /* precopy info with an argsz of 8 succeeds */
	[INFO_KEEPS_DIRTY] = "info-keeps-dirty", /* dirty_bytes comes back as the caller left it */
	[INFO_INITIAL_STAYS] = "info-initial-stays", /* initial_bytes does not fall while it is read */
	[INFO_FLAGS_BEFORE_OPT_IN] = "info-flags-before-opt-in", /* flags are changed before the INFOv2 opt-in */
	[REINIT_REPEATED] = "reinit-repeated", /* one re-initialisation is reported by every later query */
	[REINIT_KEEPS_DIRTY] = "reinit-keeps-dirty", /* dirty_bytes does not restart at 0 with REINIT */
	[SECOND_DESCRIPTOR] = "second-descriptor", /* STOP_COPY opens another descriptor in the same session */
	[STATE_IS_STALE] = "state-is-stale", /* GET gives PRE_COPY in PRE_COPY_P2P */
	[SIZE_ZERO] = "size-zero", /* MIG_DATA_SIZE is 0 while STOP_COPY has data */
	[SIZE_NOT_IN_RUNNING] = "size-not-in-running", /* MIG_DATA_SIZE fails in RUNNING */
	[RESET_KEEPS_STATE] = "reset-keeps-state", /* a reset leaves STOP_COPY as it is */
	[RESET_KEEPS_SESSION] = "reset-keeps-session", /* data can still be read after a reset */
	[CLOSE_KEEPS_STATE] = "close-keeps-state", /* the next open finds the device in its last state */
	[POLL_NEVER] = "poll-never", /* poll() never says that there is data */
	[SEEKABLE] = "seekable", /* lseek() on the data descriptor succeeds */
	[LOGGING_TWICE] = "logging-twice", /* DMA logging that has been started can be started again */
};

size_t defects_text(u64 set, char *text, size_t room)
{
	size_t length = 0;
	int defect;

	for (defect = 0; defect < DEFECTS; defect++)
		if (set >> defect & 1)
			length += scnprintf(text + length, room - length, "%s\n", names[defect]);
	return length;
}

int defects_parse(const char *text, u64 *set)
{
	*set = 0;
	while (*(text += strspn(text, " \n"))) {
		size_t length = strcspn(text, " \n");
		int defect;

		for (defect = 0; defect < DEFECTS; defect++)
			if (strlen(names[defect]) == length && !memcmp(names[defect], text, length))
				break;
		if (defect < DEFECTS)
			*set |= 1ULL << defect;
		else if (length != 4 || memcmp(text, "none", 4))
			return -EINVAL;
		text += length;
	}
	return 0;
}

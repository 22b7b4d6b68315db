/*
 * The driver's defects: deviations from the uAPI that are switched on one by one, to show that a check finds each.
 *
 * Every defect is one place in driver.c that asks has_defect(). Names and meanings are in defects.c.
 */
#ifndef ACKMATRIX_DEFECTS_H
#define ACKMATRIX_DEFECTS_H

#include <linux/types.h>

enum defect {
	DRAINED_ZERO,
	STOP_COPY_ENOMSG,
	READ_AFTER_END,
	READ_IGNORES_POINTER,
	WRITE_AFTER_END,
	WRITE_WHOLE_ONLY,
	WRITE_TAKES_FOREIGN,
	RESUME_TAKES_TRUNCATED,
	LOAD_CORRUPTS,
	INFO_OUTSIDE_PRECOPY,
	INFO_TAKES_SHORT_ARGSZ,
	INFO_KEEPS_DIRTY,
	INFO_INITIAL_STAYS,
	INFO_FLAGS_BEFORE_OPT_IN,
	REINIT_REPEATED,
	REINIT_KEEPS_DIRTY,
	SECOND_DESCRIPTOR,
	STATE_IS_STALE,
	SIZE_ZERO,
	SIZE_NOT_IN_RUNNING,
	RESET_KEEPS_STATE,
	RESET_KEEPS_SESSION,
	CLOSE_KEEPS_STATE,
	POLL_NEVER,
	SEEKABLE,
	LOGGING_TWICE,
	DEFECTS
};

/* The names of the defects in a set, one a line after the other, into `text`; returns the length. */
size_t defects_text(u64 set, char *text, size_t room);
/* Reads names that are separated by spaces or line ends into a set; "none" and "" are the empty one. -EINVAL for an unknown name. */
int defects_parse(const char *text, u64 *set);

#endif

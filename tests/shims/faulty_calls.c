/* System calls on the files of a node that fail, come short, or are the last one, on demand. Loaded with LD_PRELOAD.
 *
 * The plan is one line in $FAULT_PLAN: "<call> <place> <action> <number>". The next <call> on a
 * path that begins with <place>, relative to $FAULT_ROOT, in whatever process or thread, is
 * treated so:  fail  returns -1 with this errno;  short  writes half of what was asked for;
 * kill  ends the process by SIGKILL before the call;  kill-after  ends it after the call.
 * A plan works once: whoever renames it to "<plan>.fired" carries it out. With "always" as a
 * fifth word it works until it is taken away.
 *
 * While the file $FAULT_TRACE exists, a line "<call> <path>" is appended to it for each call.
 *
 * A descriptor whose close(2) fails is closed all the same, as by Linux.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { GO_ON, FAIL, SHORT, KILL_AFTER };

/* Read a small file without the functions that this library replaces. */
static int slurp(const char *path, char *text, size_t size) {
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    long n = syscall(SYS_read, fd, text, size - 1);
    syscall(SYS_close, fd);
    if (n <= 0) return -1;
    text[n] = 0;
    return 0;
}

static void trace(const char *call, const char *path) {
    const char *file = getenv("FAULT_TRACE");
    long fd = file == NULL ? -1 : syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0) return;
    char line[PATH_MAX + 64];
    int n = snprintf(line, sizeof line, "%s %s\n", call, path);
    syscall(SYS_write, fd, line, n);
    syscall(SYS_close, fd);
}

static enum action planned(const char *call, const char *path) {
    const char *root = getenv("FAULT_ROOT"), *plan = getenv("FAULT_PLAN");
    size_t below = root == NULL ? 0 : strlen(root);
    if (below == 0 || plan == NULL || strncmp(path, root, below) != 0 || path[below] != '/') return GO_ON;
    int kept = errno;
    path += below + 1;
    trace(call, path);
    char text[512], fired[PATH_MAX], which[32], place[256], what[16], often[16] = "once";
    int number = 0;
    enum action action = GO_ON;
    if (slurp(plan, text, sizeof text) == 0 &&
        sscanf(text, "%31s %255s %15s %d %15s", which, place, what, &number, often) >= 4 &&
        !strcmp(which, call) && !strncmp(path, place, strlen(place))) {
        snprintf(fired, sizeof fired, "%s.fired", plan);
        int won = !strcmp(often, "always") ? (syscall(SYS_linkat, AT_FDCWD, plan, AT_FDCWD, fired, 0), 1)
                                           : syscall(SYS_renameat, AT_FDCWD, plan, AT_FDCWD, fired) == 0;
        if (won && !strcmp(what, "kill")) kill(getpid(), SIGKILL);
        if (won) action = !strcmp(what, "fail") ? FAIL : !strcmp(what, "short") ? SHORT : KILL_AFTER;
    }
    errno = action == FAIL ? number : kept;
    return action;
}

static enum action planned_at(const char *call, int folder, const char *name) {
    char link[64], path[PATH_MAX];
    if (name[0] == '/') return planned(call, name);
    snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path - 2);
    if (length < 0) return GO_ON;
    snprintf(path + length, sizeof path - (size_t)length, "%s%s", *name ? "/" : "", name);
    return planned(call, path);
}

static enum action planned_fd(const char *call, int fd) { return planned_at(call, fd, ""); }

static long finish(enum action action, long result) {
    if (action == KILL_AFTER) kill(getpid(), SIGKILL);
    return result;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PASS(action, call) ((action) == FAIL ? -1 : finish(action, call))

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    enum action action = planned_at("open", folder, path);
    return (int)PASS(action, syscall(SYS_openat, folder, path, flags, mode));
}

#define MODE(mode, flags)                                                     \
    mode_t mode = 0;                                                          \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                    \
        va_list more;                                                         \
        va_start(more, flags);                                                \
        mode = va_arg(more, mode_t);                                          \
        va_end(more);                                                         \
    }

int open(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(mode, flags)
    return open_at(folder, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    enum action action = planned_fd("write", fd);
    if (action == SHORT && size > 1) size /= 2;
    return PASS(action, REAL(write)(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    enum action action = planned_fd("writev", fd);
    if (action == SHORT) return syscall(SYS_write, fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2);
    return PASS(action, REAL(writev)(fd, parts, count));
}

static ssize_t pwrite_at(int fd, const void *data, size_t size, off_t at) {
    enum action action = planned_fd("pwrite", fd);
    if (action == SHORT && size > 1) size /= 2;
    return PASS(action, syscall(SYS_pwrite64, fd, data, size, at));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite_at(fd, data, size, at); }

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return pwrite_at(fd, data, size, at); }

int fsync(int fd) {
    enum action action = planned_fd("fsync", fd);
    return (int)PASS(action, REAL(fsync)(fd));
}

int fdatasync(int fd) {
    enum action action = planned_fd("fdatasync", fd);
    return (int)PASS(action, REAL(fdatasync)(fd));
}

int close(int fd) {
    enum action action = planned_fd("close", fd);
    int number = errno, result = (int)syscall(SYS_close, fd);
    if (action != FAIL) return (int)finish(action, result);
    errno = number;
    return -1;
}

int rename(const char *from, const char *to) {
    enum action action = planned_at("rename", AT_FDCWD, to);
    return (int)PASS(action, REAL(rename)(from, to));
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    enum action action = planned_at("rename", to_folder, to);
    return (int)PASS(action, REAL(renameat)(from_folder, from, to_folder, to));
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    enum action action = planned_at("rename", to_folder, to);
    return (int)PASS(action, syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
}

int link(const char *from, const char *to) {
    enum action action = planned_at("link", AT_FDCWD, to);
    return (int)PASS(action, REAL(link)(from, to));
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    enum action action = planned_at("link", to_folder, to);
    return (int)PASS(action, REAL(linkat)(from_folder, from, to_folder, to, flags));
}

int unlink(const char *path) {
    enum action action = planned_at("unlink", AT_FDCWD, path);
    return (int)PASS(action, REAL(unlink)(path));
}

int unlinkat(int folder, const char *path, int flags) {
    enum action action = planned_at("unlink", folder, path);
    return (int)PASS(action, REAL(unlinkat)(folder, path, flags));
}

int mkdir(const char *path, mode_t mode) {
    enum action action = planned_at("mkdir", AT_FDCWD, path);
    return (int)PASS(action, REAL(mkdir)(path, mode));
}

int mkdirat(int folder, const char *path, mode_t mode) {
    enum action action = planned_at("mkdir", folder, path);
    return (int)PASS(action, REAL(mkdirat)(folder, path, mode));
}

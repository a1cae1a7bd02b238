/* A disk that forgets whatever was not synced, for tests of power loss. Loaded with LD_PRELOAD.
 *
 * The strictest reading of POSIX: the content of a file is on the disk as it was at its last
 * fsync(2) or fdatasync(2), and the names in a folder are those of the last fsync(2) of that
 * folder. Everything else is lost: later bytes, later names, renames and removals too.
 *
 * At each sync of something below $DISK_ROOT this library notes in $DISK_MEMORY what would now
 * be on the disk: for a file a copy of its content, for a folder the list of its entries, under
 * the identity of the inode (number and time of birth, as numbers are used again). A note is
 * whole or not there: it is renamed into place, under a lock, before the call returns. The real
 * sync is left out; a killed process loses nothing of what it wrote to the page cache.
 *
 * With $DISK_LEAVES_OUT, syncs below that path do nothing: the controls of the tests.
 *
 * tests/power.py puts the tree together again from these notes, beginning at "root".
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int identify(int folder, const char *name, char *key, size_t size, char *kind) {
    struct statx found;
    int flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    if (statx(folder, name, flags, STATX_TYPE | STATX_INO | STATX_BTIME, &found) != 0) return -1;
    snprintf(key, size, "%llx-%llx.%x", (unsigned long long)found.stx_ino,
             (unsigned long long)found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
    *kind = S_ISDIR(found.stx_mode) ? 'd' : S_ISREG(found.stx_mode) ? 'f' : 'o';
    return 0;
}

static int copy_content(int fd, FILE *note) {
    char path[64], buffer[1 << 16];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int source = open(path, O_RDONLY | O_CLOEXEC); /* `fd` itself may be for writing only */
    if (source < 0) return -1;
    ssize_t n;
    while ((n = read(source, buffer, sizeof buffer)) > 0)
        if (fwrite(buffer, 1, (size_t)n, note) != (size_t)n) n = -1;
    close(source);
    return n == 0 ? 0 : -1;
}

static int list_entries(int fd, FILE *note) {
    int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (folder == NULL) return -1;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char key[64], kind;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (identify(dirfd(folder), entry->d_name, key, sizeof key, &kind) != 0) continue; /* gone */
        fprintf(note, "%c %s %s\n", kind, key, entry->d_name);
    }
    closedir(folder);
    return 0;
}

static int remember(int fd, const char *memory, const char *key, char kind) {
    char scratch[PATH_MAX], target[PATH_MAX], lock_path[PATH_MAX];
    snprintf(lock_path, sizeof lock_path, "%s/lock", memory);
    snprintf(scratch, sizeof scratch, "%s/scratch", memory);
    snprintf(target, sizeof target, "%s/%s", memory, key);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) return -1;
    int failed = flock(lock, LOCK_EX); /* a later sync must not be overtaken by an earlier one */
    FILE *note = failed ? NULL : fopen(scratch, "we");
    if (note != NULL) {
        failed = kind == 'd' ? list_entries(fd, note) : copy_content(fd, note);
        failed |= fclose(note);
        failed = failed || rename(scratch, target) != 0;
    }
    close(lock);
    return failed || note == NULL ? -1 : 0;
}

static int synced(int fd, long number) {
    const char *root = getenv("DISK_ROOT"), *memory = getenv("DISK_MEMORY");
    char link[64], path[PATH_MAX], key[64], kind;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    size_t below = root == NULL ? 0 : strlen(root);
    if (memory == NULL || below == 0 || length < (ssize_t)below || strncmp(path, root, below) != 0 ||
        identify(fd, "", key, sizeof key, &kind) != 0)
        return (int)syscall(number, fd);
    path[length] = 0;
    const char *left_out = getenv("DISK_LEAVES_OUT");
    if (left_out != NULL && !strncmp(path, left_out, strlen(left_out))) return 0;
    if (!strcmp(path, root)) strcpy(key, "root");
    if (remember(fd, memory, key, kind) != 0) {
        errno = EIO; /* nobody may believe that this is on the disk */
        return -1;
    }
    return 0;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

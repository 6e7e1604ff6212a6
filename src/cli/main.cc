#include <fcntl.h>

#include "cli/command.h"

// A descriptor that was closed for us would be taken by the next file that is opened, and what is meant
// for people would go into it: into a repository, a catalog. What stands in its place fails.
static void keep_standard_descriptors() {
    for (int fd = 0; fd <= 2; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // The lowest free one, which is `fd`: those below it are open by now.
        if (::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0) return;
    }
}

int main(int argc, char** argv) {
    keep_standard_descriptors();
    return holdfast::cli::run(argc, argv);
}

/// @file
/// What the kernel refuses a process, on purpose.
#pragma once

#include <pthread.h>

namespace cleave::testing {

/// While it lives, no thread can start: no address space has room for the stack of one.
class NoThreads {
public:
  NoThreads();
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads();

private:
  pthread_attr_t before_{};
};

/// From now on the kernel refuses this process a system call, with EPERM.
void refuse(unsigned call);

} // namespace cleave::testing

#include "kernel_refusals.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <stdexcept>

namespace cleave::testing {

NoThreads::NoThreads() {
  pthread_getattr_default_np(&before_);
  pthread_attr_t endless{};
  pthread_attr_init(&endless);
  pthread_attr_setstacksize(&endless, std::size_t{1} << 47);
  pthread_setattr_default_np(&endless);
  pthread_attr_destroy(&endless);
}

NoThreads::~NoThreads() {
  pthread_setattr_default_np(&before_);
  pthread_attr_destroy(&before_);
}

void refuse(unsigned call) {
  sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {std::size(filter), filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw std::runtime_error("the kernel has no such filter");
}

} // namespace cleave::testing

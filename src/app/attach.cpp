#include "attach.hpp"

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

// A debugger finds it by this name, in a program without debug information too.
extern "C" {
extern volatile int cleave_attached;
volatile int cleave_attached = 0;
}

namespace cleave::app {

void wait_for_debugger(const Comm& comm, int rank) {
  if (rank >= comm.size())
    throw Error(ErrorKind::bad_input,
                "there is no rank " + std::to_string(rank) + ": the last is rank " +
                    std::to_string(comm.size() - 1),
                {"", 0, "--attach"});
  if (comm.rank() != rank)
    return;
  std::fprintf(stderr,
               "rank %d waits for a debugger: on host %s,\n"
               "  gdb -p %lld -ex 'set var *(int*)&cleave_attached = 1'\n",
               rank, comm.host_of(rank).c_str(), static_cast<long long>(comm.pid_of(rank)));
  while (cleave_attached == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

} // namespace cleave::app

/// @file
/// Memory that several processes of one node map, without a name that could outlive them.
#pragma once

#include "cleave/comm.hpp"

#include <functional>

namespace cleave {

/// What the node's leader tells the others, so that they can map its memory.
struct MemoryTicket {
  std::int64_t pid = 0;
  int descriptor = -1; ///< -1: there is no memory
};

/// The leader's side: an anonymous memory file (memfd_create: not bound by the size of /dev/shm,
/// and gone with its last user however that one ends).
class SharedMemoryOwner {
public:
  explicit SharedMemoryOwner(std::int64_t bytes) noexcept;
  SharedMemoryOwner(const SharedMemoryOwner&) = delete;
  SharedMemoryOwner& operator=(const SharedMemoryOwner&) = delete;
  /// Closes the descriptor; mappings stay.
  ~SharedMemoryOwner();
  [[nodiscard]] MemoryTicket ticket() const noexcept;

private:
  int descriptor_ = -1;
};

/// Maps the memory behind a ticket (through /proc/PID/fd when it is another process's). Empty when
/// the kernel does not let us. Local.
[[nodiscard]] NodeWindow map_memory(const MemoryTicket& ticket, std::int64_t bytes) noexcept;

} // namespace cleave

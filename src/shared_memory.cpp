#include "shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

namespace cleave {

SharedMemoryOwner::SharedMemoryOwner(std::int64_t bytes) noexcept
    : descriptor_(memfd_create("cleave", MFD_CLOEXEC)) {
  if (descriptor_ >= 0 && ftruncate(descriptor_, bytes) != 0) {
    close(descriptor_);
    descriptor_ = -1;
  }
}

SharedMemoryOwner::~SharedMemoryOwner() {
  if (descriptor_ >= 0)
    close(descriptor_);
}

MemoryTicket SharedMemoryOwner::ticket() const noexcept {
  return {.pid = getpid(), .descriptor = descriptor_};
}

NodeWindow map_memory(const MemoryTicket& ticket, std::int64_t bytes) noexcept {
  if (ticket.descriptor < 0)
    return {};
  const std::string path =
      "/proc/" + std::to_string(ticket.pid) + "/fd/" + std::to_string(ticket.descriptor);
  const int descriptor = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0)
    return {};
  const auto size = static_cast<std::size_t>(bytes);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory == MAP_FAILED)
    return {};
  madvise(memory, size, MADV_HUGEPAGE); // advice: refusal costs speed alone
  std::shared_ptr<void> keep(memory, [size](void* p) { munmap(p, size); });
  return {std::move(keep), {static_cast<std::byte*>(memory), size}};
}

} // namespace cleave

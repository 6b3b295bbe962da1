#include "cleave/fresh.hpp"

#include <sys/mman.h>

#include <memory>

namespace cleave::detail {

void advise_huge(void* memory, std::size_t bytes) noexcept {
  constexpr std::size_t huge = std::size_t{2} << 20;
  void* first = memory;
  std::size_t room = bytes;
  if (std::align(huge, huge, first, room) != nullptr)
    madvise(first, room / huge * huge, MADV_HUGEPAGE);
}

} // namespace cleave::detail

// A PNG or TIFF image: refused as bad input, or whole.
#include "cleave/data.hpp"
#include "cleave/error.hpp"
#include "in_memory.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace {

constexpr std::size_t signature = 8;

std::uint32_t big_endian(const std::uint8_t* at) {
  return std::uint32_t{at[0]} << 24U | std::uint32_t{at[1]} << 16U | std::uint32_t{at[2]} << 8U |
         at[3];
}

/// Sets right the checksums of a PNG's chunks: else nothing behind the first is ever reached.
void mend_checksums(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = signature; at + 12 <= size;) {
    const std::size_t length = big_endian(data + at);
    if (length > size - at - 12)
      return;
    const auto sum = crc32(0, data + at + 4, static_cast<unsigned>(length + 4));
    for (std::size_t i = 0; i < 4; ++i)
      data[at + 8 + length + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += 12 + length;
  }
}

} // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (size > signature && std::memcmp(data, "\x89PNG", 4) == 0 && seed % 8 != 0)
    mend_checksums(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cleave;
  static fuzz::InMemory file("image");
  try {
    const Image image = read_image(file.hold(data, size));
    if (image.samples.size() !=
        static_cast<std::size_t>(image.width * image.height * image.channels))
      std::abort();
    const auto most = image.bits == 16 ? 0xFFFF : 0xFF;
    if (std::ranges::any_of(image.samples, [&](std::uint16_t sample) { return sample > most; }))
      std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input)
      std::abort();
  }
  return 0;
}

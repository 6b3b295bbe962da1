#include "serialize_error.hpp"

#include "cleave/serialize.hpp"

#include <string>
#include <utility>

namespace cleave {

std::vector<std::byte> packed(const Error& error) {
  Packer packer;
  packer.put(error.kind());
  packer.put(error.message());
  packer.put(error.place().file);
  packer.put(error.place().line);
  packer.put(error.place().key);
  return packer.take();
}

Error unpacked_error(std::span<const std::byte> bytes) {
  Unpacker from(bytes);
  const auto kind = from.get<ErrorKind>();
  const auto message = from.get<std::string>();
  auto file = from.get<std::string>();
  const int line = from.get<int>();
  auto key = from.get<std::string>();
  return {kind, message, {std::move(file), line, std::move(key)}};
}

} // namespace cleave

#include "lines.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace cleave::app {

std::string line(const std::string& label, const std::string& text) {
  return fmt::format("{:<{}}{}\n", label, label_width, text);
}

void mutter(const std::string& text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

} // namespace cleave::app

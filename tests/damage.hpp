/// @file
/// Bytes of a file changed at random places: what a reader must refuse, or read right.
#pragma once

#include "store_fixture.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <string>

namespace cleave::testing {

/// What became of damaged files.
struct Survived {
  int refused = 0; ///< by an Error of bad input that names the file
  int right = 0;   ///< read as what was written
};

/// Damages of one file, from a seed that is printed: CLEAVE_SEED, or a new one each time.
class Damage {
public:
  explicit Damage(std::string bytes)
      : bytes_(std::move(bytes)),
        seed_(std::getenv("CLEAVE_SEED") != nullptr ? static_cast<std::uint32_t>(std::strtoul(
                                                          std::getenv("CLEAVE_SEED"), nullptr, 10))
                                                    : std::random_device()()),
        random_(seed_) {
    std::cout << "CLEAVE_SEED=" << seed_ << '\n';
  }

  /// The bytes with one of them changed.
  std::string flipped() {
    std::string damaged = bytes_;
    damaged[below(damaged.size())] ^= static_cast<char>(1 + below(255));
    return damaged;
  }
  /// A block of a disk that has become zeros.
  std::string blanked() {
    std::string damaged = bytes_;
    const std::size_t at = below(damaged.size()) / 512 * 512;
    std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(at),
                std::min<std::size_t>(512, damaged.size() - at), '\0');
    return damaged;
  }
  std::string cut() { return bytes_.substr(0, below(bytes_.size())); }

private:
  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }

  std::string bytes_;
  std::uint32_t seed_;
  std::mt19937 random_;
};

/// How often a file is damaged in each way: 500, 2000 with CLEAVE_SOAK=1.
inline int damages() {
  return std::getenv("CLEAVE_SOAK") != nullptr ? 2000 : 500;
}

/// Reads damaged copies of `file`: each is refused, or `is_right` says that it read what was there.
/// @param what the file is, in docs/reliability.md
inline Survived survive(const std::string& what, const std::filesystem::path& file,
                        const std::function<bool()>& is_right) {
  Damage damage(bytes_of(file));
  Survived survived;
  for (int i = 0; i < damages(); ++i)
    for (const auto& way : {&Damage::flipped, &Damage::blanked, &Damage::cut}) {
      if (way != &Damage::flipped && i % 10 != 0)
        continue;
      write_bytes(file, (damage.*way)());
      try {
        const bool right = is_right();
        EXPECT_TRUE(right) << "wrong numbers in silence, from damage " << i;
        survived.right += right ? 1 : 0;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
        EXPECT_EQ(error.place().file, file.string());
        ++survived.refused;
      }
    }
  std::cout << survived.refused << " refused, " << survived.right << " read as written\n";
  const int tried = damages() + 2 * ((damages() + 9) / 10);
  std::cout << "fault\tbytes changed, file cut: " << what << '\t' << tried << '\t'
            << survived.refused + survived.right << '\n';
  return survived;
}

} // namespace cleave::testing

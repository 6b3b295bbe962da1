/// @file
/// One owner for the handles of C libraries.
#pragma once

#include <unistd.h>

#include <utility>

namespace cleave {

/// Owns one handle of a C library and closes it when its own life ends. Traits states the handle's
/// type `Value`, the value `none` that stands for no handle, and `close(Value) noexcept`.
template <class Traits>
class Handle {
public:
  using Value = typename Traits::Value;

  Handle() noexcept = default;
  explicit Handle(Value value) noexcept : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, Traits::none)) {}
  Handle& operator=(Handle&& other) noexcept {
    Handle taken(std::move(other));
    std::swap(value_, taken.value_);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != Traits::none)
      Traits::close(value_);
  }

  /// The handle itself, still owned here.
  [[nodiscard]] Value get() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ != Traits::none; }

private:
  Value value_ = Traits::none;
};

/// Of a file, pipe or socket.
struct DescriptorTraits {
  using Value = int;
  static constexpr int none = -1;
  static void close(int descriptor) noexcept { ::close(descriptor); }
};
using Descriptor = Handle<DescriptorTraits>;

} // namespace cleave

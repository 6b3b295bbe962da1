/// @file
/// The templates of Pool that give root's values to all; included by pool.hpp alone.
#pragma once

#include "cleave/pool.hpp"

namespace cleave {

template <class F>
auto Pool::from_root(F f) -> std::remove_cvref_t<std::invoke_result_t<F&>> {
  using R = std::remove_cvref_t<std::invoke_result_t<F&>>;
  detail::Engine& engine = *engine_;
  const detail::CallForm form{"from_root", detail::type_mark<F, R>()};
  if constexpr (std::is_void_v<R>) {
    engine.open(form, [&] {
      f();
      return detail::RootPart{};
    });
    engine.close();
  } else {
    static_assert(Portable<R>, "the value travels to the other ranks: no pointers or views");
    std::optional<R> value;
    std::string bytes;
    engine.open(form, [&] {
      value.emplace(f());
      Packer packer;
      packer.put(*value);
      bytes.assign(reinterpret_cast<const char*>(packer.bytes().data()), packer.bytes().size());
      return detail::RootPart{};
    });
    bytes = comm().broadcast(std::move(bytes));
    const auto unpack = [&] {
      if (!value)
        value.emplace(Unpacker(std::as_bytes(std::span(bytes))).template get<R>());
    };
    if constexpr (Flat<R>)
      unpack();
    else // a class may throw while it is read
      detail::together(comm(), unpack);
    engine.close();
    return std::move(*value);
  }
}

template <class Make>
void Pool::save(Make make) {
  using T = std::invoke_result_t<Make&>;
  static_assert(Portable<T>, "a state is read by another launch: no pointers or views");
  engine_->keep_state(detail::type_mark<T>(), [&make] {
    Packer packer;
    packer.put(make());
    return packer.take();
  });
}

template <Portable T>
std::optional<T> Pool::saved() {
  const std::optional<std::pair<std::uint64_t, std::string>> kept =
      from_root([this] { return engine_->kept_state(detail::type_mark<T>()); });
  if (!kept)
    return std::nullopt;
  engine_->go_on_after(kept->first);
  return Unpacker(std::as_bytes(std::span(kept->second))).template get<T>();
}

namespace detail {

/// Root's bytes in a fresh window of every node. Collective.
[[nodiscard]] NodeWindow share_bytes(Engine& engine, std::size_t type,
                                     std::span<const std::byte> bytes, std::int64_t& count);

template <class T>
struct IsFlatVector : std::false_type {};
template <Flat T>
struct IsFlatVector<std::vector<T>> : std::bool_constant<!std::same_as<T, bool>> {};

} // namespace detail

template <Portable T>
Shared<T> Pool::share(const T& value) {
  std::int64_t bytes = 0;
  if constexpr (detail::IsFlatVector<T>::value) {
    const NodeWindow window = detail::share_bytes(*engine_, detail::type_mark<T>(),
                                                  std::as_bytes(std::span(value)), bytes);
    return Shared<T>(window, bytes / static_cast<std::int64_t>(sizeof(typename T::value_type)));
  } else if constexpr (Flat<T>) {
    return Shared<T>(detail::share_bytes(*engine_, detail::type_mark<T>(),
                                         std::as_bytes(std::span(&value, 1)), bytes));
  } else {
    return Shared<T>(from_root([&value] { return value; }));
  }
}

} // namespace cleave

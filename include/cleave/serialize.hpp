/// @file
/// Which types may travel between ranks, and their bytes: a headerless archive for the standard
/// types, Boost.Serialization for everything else.
#pragma once

#include "cleave/error.hpp"
#include "cleave/fresh.hpp"

#include <boost/archive/binary_iarchive.hpp>
#include <boost/archive/binary_oarchive.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cleave {

namespace detail {

template <class T>
struct Refers;

/// Whether T is a container of what refers; a range of itself, such as a path, ends the search.
template <class T>
[[nodiscard]] consteval bool holds_references() {
  if constexpr (std::ranges::range<T>) {
    using Item = std::remove_cv_t<std::ranges::range_value_t<T>>;
    if constexpr (!std::is_same_v<Item, T>)
      return Refers<Item>::value;
  }
  return false;
}

template <class T>
struct Refers : std::bool_constant<std::is_pointer_v<T> || std::is_reference_v<T> ||
                                   std::is_member_pointer_v<T> || std::ranges::view<T> ||
                                   holds_references<T>()> {};
template <class T>
struct Refers<const T> : Refers<T> {};
template <class T>
struct Refers<std::initializer_list<T>> : std::true_type {};
template <class T>
struct Refers<std::reference_wrapper<T>> : std::true_type {};
template <class T, class D>
struct Refers<std::unique_ptr<T, D>> : std::true_type {};
template <class T>
struct Refers<std::shared_ptr<T>> : std::true_type {};
template <class T>
struct Refers<std::weak_ptr<T>> : std::true_type {};
template <class A, class B>
struct Refers<std::pair<A, B>> : std::disjunction<Refers<A>, Refers<B>> {};
template <class... T>
struct Refers<std::tuple<T...>> : std::disjunction<Refers<T>...> {};
template <class... T>
struct Refers<std::variant<T...>> : std::disjunction<Refers<T>...> {};
template <class T>
struct Refers<std::optional<T>> : Refers<T> {};
template <class T, std::size_t N>
struct Refers<std::array<T, N>> : Refers<T> {};
template <class T, std::size_t N>
struct Refers<T[N]> : Refers<T> {};
template <class T, std::size_t N>
struct Refers<const T[N]> : Refers<T> {}; // which is both `const T` and `T[N]`

} // namespace detail

/// A type whose objects mean the same on another rank: no pointer, reference, view or smart
/// pointer, nor a standard container of such (what a class hides inside cannot be seen).
template <class T>
concept Portable = !detail::Refers<std::remove_cv_t<T>>::value;

/// A Portable type whose bytes are its value: it travels as it lies in memory.
template <class T>
concept Flat = Portable<T> && std::is_trivially_copyable_v<T> && !std::is_empty_v<T>;

/// Appends values to a byte buffer.
class Packer {
public:
  Packer() = default;
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  /// Appends one value. @throws whatever a class's own serialize() throws
  template <Portable T>
  void put(const T& value);
  void put_bytes(const void* first, std::size_t count) {
    const auto* bytes = static_cast<const std::byte*>(first);
    if (count > 64) {
      make_room(count);
      bytes_.insert(bytes_.end(), bytes, bytes + count);
    } else if (count > 0) { // GCC 12 would warn of an overflow that is none
      bytes_.resize(bytes_.size() + count);
      std::memcpy(bytes_.data() + bytes_.size() - count, bytes, count);
    }
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() { return std::exchange(bytes_, {}); }

private:
  struct Stream : std::streambuf {
    explicit Stream(Packer& packer) : packer_(packer) {}
    std::streamsize xsputn(const char* text, std::streamsize count) override {
      packer_.put_bytes(text, static_cast<std::size_t>(count));
      return count;
    }
    int_type overflow(int_type c) override {
      const char one = traits_type::to_char_type(c);
      packer_.put_bytes(&one, 1);
      return c;
    }
    Packer& packer_;
  };

  void make_room(std::size_t count) {
    if (bytes_.capacity() - bytes_.size() >= count)
      return;
    bytes_.reserve(std::max(2 * bytes_.capacity(), bytes_.size() + count));
    detail::advise_huge(bytes_.data() + bytes_.size(), bytes_.capacity() - bytes_.size());
  }

  std::vector<std::byte> bytes_;
};

/// Takes values off a byte buffer in the order in which they were put.
class Unpacker {
public:
  explicit Unpacker(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  /// Takes one value. @throws Error lost_peer when the bytes end too early
  template <Portable T>
  [[nodiscard]] T get();
  void get_bytes(void* to, std::size_t count) {
    if (count > bytes_.size())
      throw Error(ErrorKind::lost_peer,
                  "a message ends too early: two ranks run different programs");
    if (count > 0)
      std::memcpy(to, bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
  }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

private:
  struct Stream : std::streambuf {
    explicit Stream(Unpacker& unpacker) : unpacker_(unpacker) {}
    std::streamsize xsgetn(char* to, std::streamsize count) override {
      unpacker_.get_bytes(to, static_cast<std::size_t>(count));
      return count;
    }
    int_type uflow() override {
      char one = 0;
      unpacker_.get_bytes(&one, 1);
      return traits_type::to_int_type(one);
    }
    Unpacker& unpacker_;
  };

  std::span<const std::byte> bytes_;
};

namespace detail {

constexpr unsigned archive_flags =
    boost::archive::no_header | boost::archive::no_tracking | boost::archive::no_xml_tag_checking;

template <class T>
concept Sequence =
    std::ranges::sized_range<T> && std::default_initializable<T> &&
    requires(T& c, std::ranges::range_value_t<T> v) { c.insert(c.end(), std::move(v)); };

template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };

/// The element type to rebuild: std::map's has a const key.
template <class T>
struct Rebuilt {
  using type = T;
};
template <class K, class V>
struct Rebuilt<std::pair<const K, V>> {
  using type = std::pair<K, V>;
};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};

template <class V, std::size_t I = 0>
V unpack_alternative(Unpacker& from, std::size_t index) {
  if constexpr (I + 1 < std::variant_size_v<V>) {
    if (index != I)
      return unpack_alternative<V, I + 1>(from, index);
  } else if (index != I) {
    throw Error(ErrorKind::lost_peer, "a message is garbled: two ranks run different programs");
  }
  return V(std::in_place_index<I>, from.get<std::variant_alternative_t<I, V>>());
}

} // namespace detail

template <Portable T>
void Packer::put(const T& value) {
  using Value = std::remove_cv_t<T>;
  if constexpr (Flat<Value>) {
    put_bytes(&value, sizeof value);
  } else if constexpr (detail::IsOptional<Value>::value) {
    put(value.has_value());
    if (value)
      put(*value);
  } else if constexpr (detail::IsVariant<Value>::value) {
    put(value.index());
    std::visit([this](const auto& alternative) { put(alternative); }, value);
  } else if constexpr (detail::TupleLike<Value>) {
    std::apply([&](const auto&... part) { (put(part), ...); }, value);
  } else if constexpr (detail::Sequence<Value>) {
    put(static_cast<std::uint64_t>(value.size()));
    using Item = std::ranges::range_value_t<Value>;
    if constexpr (std::ranges::contiguous_range<Value> && Flat<Item>)
      put_bytes(std::ranges::data(value), value.size() * sizeof(Item));
    else
      for (const auto& item : value)
        put(static_cast<const typename detail::Rebuilt<Item>::type&>(item));
  } else if constexpr (!std::is_empty_v<Value>) {
    Stream stream(*this);
    boost::archive::binary_oarchive archive(stream, detail::archive_flags);
    archive << value;
  }
}

template <Portable T>
T Unpacker::get() {
  if constexpr (Flat<T>) {
    std::array<std::byte, sizeof(T)> bytes; // T need not be default constructible
    get_bytes(bytes.data(), bytes.size());
    return std::bit_cast<T>(bytes);
  } else if constexpr (detail::IsOptional<T>::value) {
    return get<bool>() ? T(get<typename T::value_type>()) : T();
  } else if constexpr (detail::IsVariant<T>::value) {
    return detail::unpack_alternative<T>(*this, get<std::size_t>());
  } else if constexpr (detail::TupleLike<T>) {
    // Braces fix the order of evaluation.
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return T{get<std::remove_cv_t<std::tuple_element_t<I, T>>>()...};
    }(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (detail::Sequence<T>) {
    const auto count = static_cast<std::size_t>(get<std::uint64_t>());
    using Item = typename detail::Rebuilt<std::ranges::range_value_t<T>>::type;
    T all;
    if constexpr (std::ranges::contiguous_range<T> && Flat<Item> &&
                  std::default_initializable<Item>) {
      if (count > bytes_.size() / sizeof(Item))
        throw Error(ErrorKind::lost_peer, "a message ends too early");
      if constexpr (std::is_same_v<T, std::vector<Item>>) {
        detail::Fresh<Item> fresh;
        fresh.allocate(static_cast<std::int64_t>(count));
        get_bytes(fresh.span().data(), count * sizeof(Item));
        all = fresh.take();
      } else {
        all.resize(count);
        get_bytes(std::ranges::data(all), count * sizeof(Item));
      }
    } else {
      for (std::size_t i = 0; i < count; ++i)
        all.insert(all.end(), get<Item>());
    }
    return all;
  } else if constexpr (std::is_empty_v<T>) {
    return T();
  } else {
    Stream stream(*this);
    boost::archive::binary_iarchive archive(stream, detail::archive_flags);
    T value;
    archive >> value;
    return value;
  }
}

} // namespace cleave

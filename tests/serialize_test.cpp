#include "cleave/serialize.hpp"

#include <boost/serialization/string.hpp>
#include <boost/serialization/vector.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <complex>
#include <deque>
#include <list>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace cleave {
namespace {

/// A user's class with Boost.Serialization.
class Particle {
public:
  Particle() = default;
  Particle(std::string name, std::vector<double> track)
      : name_(std::move(name)), track_(std::move(track)) {}
  friend bool operator==(const Particle&, const Particle&) = default;
  friend bool operator<(const Particle& a, const Particle& b) { return a.name_ < b.name_; }

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name_& track_;
  }

private:
  std::string name_;
  std::vector<double> track_;
};

struct NoDefault {
  explicit NoDefault(int v) : value(v) {}
  int value;
  friend bool operator==(const NoDefault&, const NoDefault&) = default;
};

__extension__ using Int128 = __int128;

struct Nothing {
  friend bool operator==(const Nothing&, const Nothing&) = default;
};

struct alignas(64) Wide {
  double lane[8] = {};
  friend bool operator==(const Wide& a, const Wide& b) {
    return std::ranges::equal(a.lane, b.lane);
  }
};

template <class T>
std::vector<std::byte> packed(const T& value) {
  Packer packer;
  packer.put(value);
  return packer.take();
}

/// There and back, with a neighbour behind to see that exactly its own bytes are taken; and every
/// message that ends too early is refused.
template <class T>
void check(const T& value) {
  SCOPED_TRACE(::testing::PrintToString(typeid(T).name()));
  Packer packer;
  packer.put(value);
  packer.put(std::string("neighbour"));
  Unpacker from(packer.bytes());
  EXPECT_TRUE(from.get<T>() == value);
  EXPECT_EQ(from.get<std::string>(), "neighbour");
  EXPECT_TRUE(from.empty());
  const std::vector<std::byte> whole = packed(value);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    Unpacker half({whole.data(), length});
    EXPECT_THROW((void)half.get<T>(), Error) << length << " of " << whole.size();
  }
}

TEST(Serialize, CarriesFlatTypes) {
  check(5);
  check('x');
  check(true);
  check(2.5F);
  check(std::complex<double>(1, -2));
  check(std::chrono::nanoseconds(7));
  check(std::array{1, 2, 3});
  check(NoDefault(4));
  check(Wide{{1, 2, 3, 4, 5, 6, 7, 8}});
  check(static_cast<Int128>(-1) << 100);
  check(ErrorKind::lost_peer);
}

TEST(Serialize, CarriesTexts) {
  check(std::string());
  check(std::string("hello"));
  check(std::string("a\0b", 3));
  check(std::string(1000, 'x'));
  check(std::u16string(u"wide"));
}

TEST(Serialize, CarriesPairsTuplesOptionalsAndVariants) {
  check(std::pair(1, 2.0));
  check(std::pair(std::string("a"), 2));
  check(std::tuple<>());
  check(std::tuple(1));
  check(std::tuple(1, std::string("x"), 2.5));
  check(std::tuple(std::tuple(std::string("deep"))));
  check(std::optional<int>());
  check(std::optional<int>(3));
  check(std::optional<std::string>("text"));
  check(std::optional<std::optional<std::string>>(std::optional<std::string>()));
  using Choice = std::variant<int, std::string, std::vector<int>>;
  check(Choice(1));
  check(Choice("text"));
  check(Choice(std::vector{1, 2}));
  check(std::variant<std::monostate, int, int>(std::in_place_index<2>, 5));
  check(std::array<std::string, 2>{"a", "b"});
  check(std::array<std::array<std::string, 2>, 2>{{{"a", "b"}, {"c", "d"}}});
  check(std::optional(static_cast<Int128>(7)));
}

TEST(Serialize, CarriesContainers) {
  check(std::vector<int>());
  check(std::vector{1, 2, 3});
  check(std::vector{true, false, true});
  check(std::vector<std::string>{"", "a", "bc"});
  check(std::vector<std::vector<int>>{{}, {1}, {2, 3}});
  check(std::vector{NoDefault(1), NoDefault(2)});
  check(std::vector{std::pair(1, 2), std::pair(3, 4)});
  check(std::deque{1, 2});
  check(std::list<std::string>{"a"});
  check(std::set{3, 1, 2});
  check(std::multiset{1, 1});
  check(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  check(std::map<int, std::map<int, std::string>>{{1, {{2, "x"}}}, {3, {}}});
  check(std::multimap<int, int>{{1, 1}, {1, 2}});
  check(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  check(std::unordered_set<std::string>{"a", "b"});
}

TEST(Serialize, CarriesOwnClassesThroughBoost) {
  check(Particle());
  check(Particle("electron", {1, 2, 3}));
  check(std::vector{Particle("a", {}), Particle("b", {1})});
  check(std::map<Particle, std::optional<Particle>>{{Particle("k", {}), Particle("v", {9})}});
}

TEST(Serialize, CarriesTypesWithoutValues) {
  check(Nothing());
  check(std::pair(Nothing(), 5));
  EXPECT_TRUE(packed(Nothing()).empty());
}

TEST(Serialize, AddsNoBytesToFlatValues) {
  EXPECT_EQ(packed(5.0).size(), sizeof(double));
  EXPECT_EQ(packed(std::vector{1, 2, 3}).size(), sizeof(std::uint64_t) + 3 * sizeof(int));
}

TEST(Serialize, KeepsTheOrder) {
  Packer packer;
  for (int i = 0; i < 100; ++i) {
    packer.put(i);
    packer.put(std::to_string(i));
  }
  Unpacker from(packer.bytes());
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(from.get<int>(), i);
    EXPECT_EQ(from.get<std::string>(), std::to_string(i));
  }
  EXPECT_TRUE(from.empty());
}

TEST(Serialize, RefusesCountsThatCannotBeTrue) {
  const auto bytes = packed(~std::uint64_t{0});
  EXPECT_THROW((void)Unpacker(bytes).get<std::vector<int>>(), Error);
  EXPECT_THROW((void)Unpacker(bytes).get<std::string>(), Error);
  EXPECT_THROW((void)Unpacker(bytes).get<std::vector<std::string>>(), Error);
  EXPECT_THROW((void)Unpacker(bytes).get<std::vector<bool>>(), Error);
}

TEST(Serialize, RefusesAnAlternativeThatDoesNotExist) {
  const auto bytes = packed(std::pair(std::size_t{9}, std::uint64_t{0}));
  EXPECT_THROW((void)(Unpacker(bytes).get<std::variant<std::string, std::vector<int>>>()), Error);
}

// What means nothing on another rank; refused_types.cpp reads the compiler's message.
static_assert(!Portable<int*> && !Portable<const char*> && !Portable<void (*)(int)>);
static_assert(!Portable<int&> && !Portable<int Particle::*>);
static_assert(!Portable<std::string_view> && !Portable<std::span<int>>);
static_assert(!Portable<std::reference_wrapper<int>> && !Portable<std::shared_ptr<int>>);
static_assert(!Portable<std::unique_ptr<int>> && !Portable<std::weak_ptr<int>>);
static_assert(!Portable<std::vector<int*>> && !Portable<std::vector<std::string_view>>);
static_assert(!Portable<std::optional<const char*>> && !Portable<std::variant<int, int*>>);
static_assert(!Portable<std::tuple<int, std::span<int>>> && !Portable<std::pair<int*, int>>);
static_assert(!Portable<std::array<std::vector<int*>, 2>> && !Portable<std::list<int*>>);
static_assert(!Portable<std::map<int, int*>> && !Portable<std::set<const char*>>);
static_assert(!Portable<std::initializer_list<int>>);
static_assert(Portable<int> && Portable<std::string> && Portable<Particle> && Portable<Wide>);
static_assert(Portable<std::map<std::string, std::vector<int>>>);
static_assert(Flat<int> && Flat<NoDefault> && Flat<Wide> && !Flat<std::string> && !Flat<Nothing>);

} // namespace
} // namespace cleave

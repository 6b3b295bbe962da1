/// @file
/// What must not compile: a type that means nothing on another rank. Each section is tried alone.

#include "cleave/pool.hpp"

#include <span>
#include <string_view>
#include <utility>
#include <vector>

template <class T>
void send(const T& value) {
  cleave::Packer packer;
  packer.put(value);
}

void use(cleave::Pool& pool, const std::vector<int>& numbers) {
  (void)pool.map([](int n) { return 2.5 * n; }, numbers);
#ifdef MAP_TO_POINTERS
  (void)pool.map([](const int& n) { return &n; }, numbers);
#endif
#ifdef MAP_INDICES_TO_POINTERS
  (void)pool.map([](std::int64_t) { return "text"; }, 5);
#endif
#ifdef MAP_OF_VIEWS
  (void)pool.map([](std::string_view text) { return text.size(); },
                 std::vector<std::string_view>{});
#endif
#ifdef MAP_TO_NOTHING
  (void)pool.map([](int) {}, numbers);
#endif
#ifdef WORKER_FIRST
  (void)pool.map([](cleave::Worker& worker, int n) { return worker.rank() + n; }, numbers);
#endif
#ifdef MAP_OF_FLAGS
  (void)pool.map([](bool flag) { return !flag; }, std::vector<bool>{});
#endif
#ifdef REDUCE_TO_POINTERS
  const char* const nothing = "";
  (void)pool.map_reduce([](int) { return ""; }, numbers, [](auto a, auto) { return a; }, nothing);
#endif
#ifdef ROOT_GIVES_A_VIEW
  (void)pool.from_root([] { return std::string_view("text"); });
#endif
#ifdef VIEW_OF_TEXTS
  (void)pool.map_view([](int) { return std::string(); }, numbers);
#endif
}

int main() {
  send(42);
#ifdef POINTER
  send(static_cast<const int*>(nullptr));
#endif
#ifdef SPAN
  send(std::span<int>{});
#endif
#ifdef TEXT_VIEW
  send(std::string_view{});
#endif
#ifdef NESTED_POINTER
  send(std::vector<std::pair<int, int*>>{});
#endif
}

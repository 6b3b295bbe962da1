// A user's program on the library alone: prints the sum of i^2 for i < 10^6, once.
#include <cleave/pool.hpp>

#include <cstdint>
#include <functional>
#include <iostream>

int main(int argc, char** argv) {
  cleave::Session session(argc, argv);
  cleave::Pool pool(session);
  const auto sum = pool.map_reduce([](std::int64_t i) { return i * i; }, 1'000'000,
                                   std::plus<std::int64_t>{}, std::int64_t{0});
  if (pool.is_root())
    std::cout << sum << '\n';
}

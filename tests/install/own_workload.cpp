// A user's workload under the whole command line: run, list, job files, timings.
#include <cleave/main.hpp>
#include <cleave/pool.hpp>
#include <cleave/workload.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace {

class Cubes final : public cleave::Job {
public:
  explicit Cubes(std::int64_t n) : n_(n) {}
  [[nodiscard]] std::int64_t tasks() const override { return n_; }
  void run(cleave::Pool& pool) override {
    cubes_ = pool.map([](std::int64_t i) { return i * i * i; }, n_);
  }
  [[nodiscard]] cleave::Verdict check() override {
    std::int64_t sum = 0;
    for (const auto cube : cubes_)
      sum += cube;
    const auto pairs = n_ * (n_ - 1) / 2;
    return {sum == pairs * pairs ? cleave::Verify::ok : cleave::Verify::failed, "sum of cubes"};
  }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(cubes_));
  }
  [[nodiscard]] cleave::Summary summary() const override { return {}; }

private:
  std::int64_t n_;
  std::vector<std::int64_t> cubes_;
};

cleave::Workload cubes_workload() {
  cleave::Parameter n{.name = "n",
                      .summary = "numbers",
                      .type = cleave::ParameterType::integer,
                      .default_value = "10",
                      .minimum = 1,
                      .maximum = 1e6};
  return {"cubes",
          "the cubes of the first n numbers",
          {n},
          [](const cleave::Values& values, cleave::Pool&) -> std::unique_ptr<cleave::Job> {
            return std::make_unique<Cubes>(values.integer("n"));
          }};
}

} // namespace

int main(int argc, char** argv) {
  return cleave::main(argc, argv, {cubes_workload()});
}

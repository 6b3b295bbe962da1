// Workloads that go wrong on purpose, for the command line tests.
#include "cleave/main.hpp"
#include "cleave/pool.hpp"

#include <chrono>
#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>

namespace {

using namespace cleave;

// What a faulty job does; empty functions behave.
struct Faults {
  std::function<void(Pool&, std::int64_t task)> task;
  std::function<void(Pool&)> rank; ///< outside any collective call
  std::function<Verdict()> check;
  std::function<void()> outputs;
  bool changes = false; ///< other bytes in each repetition
};

class FaultyJob : public Job {
public:
  explicit FaultyJob(Faults faults) : faults_(std::move(faults)) {}
  [[nodiscard]] std::int64_t tasks() const override { return 8; }
  void run(Pool& pool) override {
    if (faults_.rank)
      faults_.rank(pool);
    const auto task = [&](std::int64_t i) {
      if (faults_.task)
        faults_.task(pool, i);
      return i;
    };
    values_ = pool.map(task, 8);
    ++runs_;
    if (pool.is_root() && faults_.changes)
      values_[0] = runs_;
  }
  [[nodiscard]] Verdict check() override {
    return faults_.check ? faults_.check() : Verdict{Verify::ok, "nothing to compare"};
  }
  [[nodiscard]] std::span<const std::byte> result() const override {
    return std::as_bytes(std::span(values_));
  }
  [[nodiscard]] Summary summary() const override { return {{"values", values_}}; }
  void write_outputs() override {
    if (faults_.outputs)
      faults_.outputs();
  }

private:
  Faults faults_;
  std::vector<std::int64_t> values_;
  std::int64_t runs_ = 0;
};

Workload faulty(const std::string& name, const Faults& faults) {
  Workload workload;
  workload.name = name;
  workload.summary = "goes wrong on purpose";
  workload.prepare = [faults](const Values&, Pool&) { return std::make_unique<FaultyJob>(faults); };
  return workload;
}

std::vector<Workload> faulty_workloads() {
  Faults task;
  task.task = [](Pool&, std::int64_t i) {
    if (i == 5)
      throw std::runtime_error("five is too much");
  };
  Faults last_rank;
  last_rank.rank = [](Pool& pool) {
    if (pool.comm().rank() == pool.comm().size() - 1)
      throw std::runtime_error("only the last rank sees this");
  };
  Faults silent = last_rank; // the others stay away from any call for long
  silent.rank = [](Pool& pool) {
    if (pool.comm().rank() == pool.comm().size() - 1)
      throw std::runtime_error("only the last rank sees this");
    std::this_thread::sleep_for(std::chrono::seconds(30));
  };
  Faults terminates;
  terminates.rank = [](Pool& pool) {
    if (pool.comm().rank() == pool.comm().size() - 1)
      std::thread([] { throw std::runtime_error("thrown where nobody catches"); }).join();
  };
  Faults wrong;
  wrong.check = [] { return Verdict{Verify::failed, "1 is not 2"}; };
  Faults unchecked;
  unchecked.check = [] { return Verdict{}; };
  Faults changes;
  changes.changes = true;
  Faults output;
  output.outputs = [] { throw Error(ErrorKind::io, "the disk is full", {"out.png", 0, ""}); };
  Faults slow;
  slow.task = [](Pool&, std::int64_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  };
  Faults endless;
  endless.task = [](Pool&, std::int64_t i) {
    if (i == 5)
      std::this_thread::sleep_for(std::chrono::seconds(60));
  };
  Workload refuses = faulty("refuses", {});
  Parameter n;
  n.name = "n";
  n.type = ParameterType::integer;
  n.default_value = "1";
  refuses.parameters = {n};
  refuses.prepare = [](const Values& values, Pool& pool) -> std::unique_ptr<Job> {
    pool.from_root([&]() -> bool { throw values.error("n", "must be even"); });
    return nullptr;
  };
  Workload unavailable = faulty("unavailable", {});
  unavailable.unavailable = "the program was built without a crystal ball";
  return {faulty("task", task),
          faulty("last_rank", last_rank),
          faulty("silent", silent),
          faulty("terminates", terminates),
          faulty("wrong", wrong),
          faulty("unchecked", unchecked),
          faulty("changes", changes),
          faulty("output", output),
          faulty("slow", slow),
          faulty("endless", endless),
          faulty("good", {}),
          refuses,
          unavailable};
}

} // namespace

int main(int argc, char** argv) {
  return cleave::main(argc, argv, faulty_workloads());
}

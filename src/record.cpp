#include "cleave/record.hpp"

#include "cleave/provenance.hpp"
#include "cleave/store.hpp"

#include <numeric>
#include <optional>
#include <utility>

namespace cleave {
namespace {

/// What only the first repetition tells: its tasks.
RunInfo info_after(const Repetition& first, const RunInfo& launch, const RecordOptions& options) {
  RunInfo info = launch;
  info.workload = options.name;
  info.work_unit = options.work_unit;
  for (const RankTimes& rank : first.ranks)
    info.tasks += static_cast<std::int64_t>(rank.tasks_done);
  info.work_items = options.work_items > 0 ? options.work_items : static_cast<double>(info.tasks);
  info.config_hash = hex16(checksum(std::as_bytes(std::span(options.name))));
  info.provenance = machine_facts();
  return info;
}

/// Root's side: opens the file at the first repetition, for only then the tasks are known.
class Book {
public:
  Book(std::filesystem::path file, RunInfo launch, const RecordOptions& options)
      : file_(std::move(file)), launch_(std::move(launch)), options_(options) {
    check_output(file_, options_.force);
  }

  /// @return whether the answer passed
  bool enter(Repetition repetition, Timings& timings, bool warm_up, int row) {
    if (options_.check)
      repetition.verify = options_.check() ? Verify::ok : Verify::failed;
    if (repetition.verify == Verify::failed)
      repetition.state = RepState::wrong_answer;
    if (options_.checksum)
      repetition.checksum = options_.checksum();
    if (!store_) {
      timings.info = info_after(repetition, launch_, options_);
      store_.emplace(file_, timings.info,
                     StoreOptions{options_.repetitions, options_.warm_ups, options_.force});
    }
    if (warm_up)
      store_->commit_warm_up(row, repetition);
    else
      store_->commit(row, repetition);
    const bool good = repetition.verify != Verify::failed;
    (warm_up ? timings.warm_up : timings.run).push_back(std::move(repetition));
    return good;
  }

private:
  std::filesystem::path file_;
  RunInfo launch_;
  const RecordOptions& options_;
  std::optional<Store> store_;
};

} // namespace

Timings record(Pool& pool, const std::filesystem::path& file, const std::function<void()>& work,
               const RecordOptions& options) {
  Timings timings;
  timings.info = pool.timings().info;
  std::optional<Book> book;
  pool.from_root([&] { book.emplace(file, timings.info, options); });
  for (int i = 0; i < options.warm_ups + options.repetitions; ++i) {
    const bool warm_up = i < options.warm_ups;
    Repetition repetition = pool.measure(work);
    const bool good = pool.from_root([&] {
      return book->enter(std::move(repetition), timings, warm_up,
                         warm_up ? i : i - options.warm_ups);
    });
    if (!good)
      throw Error(ErrorKind::wrong_answer,
                  "the answer of repetition " + std::to_string(i + 1) + " failed its check");
  }
  return timings;
}

} // namespace cleave

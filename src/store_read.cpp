#include "cleave/store.hpp"
#include "hdf5_file.hpp"
#include "store_checksum.hpp"
#include "store_format.hpp"
#include "store_vetted.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;

/// The rows of /run or /warm_up. Visits each_variable to read all rows of it.
class RowReader {
public:
  RowReader(const hdf5::File& file, const char* group, std::uintmax_t file_bytes)
      : name_(group), group_(hdf5::open_group(file, group)),
        rows_(length_of(group_.get(), "rep", file_bytes)),
        ranks_(length_of(group_.get(), "rank", file_bytes)),
        threads_(length_of(group_.get(), "thread", file_bytes)),
        nodes_(length_of(group_.get(), "node", file_bytes)), file_bytes_(file_bytes) {
    if (length_of(group_.get(), "phase", file_bytes) != phase_count)
      throw hdf5::Failure("the file has other phases");
  }

  [[nodiscard]] std::size_t rows() const { return rows_; }

  /// The committed rows. @param rank_threads threads of each rank
  /// @param summed whether the file has sums of its rows
  /// @param added whether it has what version 1.2 has added
  std::vector<Repetition> read(const std::vector<int>& rank_threads, bool summed, bool added) {
    require_room({rows_, ranks_, std::max(phase_count, threads_)});
    repetitions_.resize(rows_);
    sums_.resize(rows_);
    for (Repetition& repetition : repetitions_)
      for (std::size_t rank = 0; rank < ranks_; ++rank)
        repetition.ranks.emplace_back().thread_busy_s.resize(
            static_cast<std::size_t>(rank_threads[rank]));
    format::each_variable(*this);
    of_run(format::rep_state, &Repetition::state);
    const auto texts = hdf5::read_strings(group_.get(), format::schedule_used.name, {rows_});
    for (std::size_t row = 0; row < rows_; ++row)
      repetitions_[row].schedule_used = texts[row];
    if (summed)
      require_sums();
    if (added)
      read_added();
    std::erase_if(repetitions_, [](const Repetition& r) { return r.state == RepState::empty; });
    return std::move(repetitions_);
  }

  void read_layout(RunInfo& info) const {
    const hid_t group = group_.get();
    info.workload = hdf5::read_text_attribute(group, "workload");
    info.ranks = static_cast<int>(ranks_);
    info.threads = static_cast<int>(threads_);
    info.nodes = static_cast<int>(nodes_);
    for (const auto& [name, length] :
         {std::pair{"ranks", ranks_}, std::pair{"threads", threads_}, std::pair{"nodes", nodes_}})
      if (hdf5::read_attribute<std::int64_t>(group, name) != static_cast<std::int64_t>(length))
        throw hdf5::Failure(std::string("attribute ") + name + " does not fit its dimension");
    info.oversubscribed = hdf5::read_attribute<std::int64_t>(group, "oversubscribed") != 0;
    info.tasks = hdf5::read_attribute<std::int64_t>(group, "tasks");
    info.work_items = hdf5::read_attribute<double>(group, "work_items");
    info.work_unit = hdf5::read_text_attribute(group, "work_unit");
    info.schedule = hdf5::read_text_attribute(group, "schedule");
    info.sync_method = hdf5::read_text_attribute(group, "sync_method");
    info.summary_method = hdf5::read_text_attribute(group, "summary_method");
    info.rank_node = numbers("rank_node", nodes_);
    info.rank_threads = numbers("rank_threads", threads_ + 1);
    info.rank_pid = hdf5::read_numbers<std::int64_t>(group, "rank_pid", {ranks_});
    info.rank_cpus = hdf5::read_strings(group, "rank_cpus", {ranks_});
    info.node_name = hdf5::read_strings(group, "node_name", {nodes_});
  }

  template <class T>
  void of_run(const format::Label& label, T Repetition::*member) {
    const auto values = hdf5::read_numbers<format::stored_t<T>>(group_.get(), label.name, {rows_});
    if (&label != &format::rep_state)
      add_to_sums(std::span(values));
    for (std::size_t row = 0; row < rows_; ++row) {
      refuse_unknown_flag(label, static_cast<double>(values[row]));
      repetitions_[row].*member = static_cast<T>(values[row]);
    }
  }
  template <class T>
  void of_ranks(const format::Label& label, T RankTimes::*member) {
    const auto values = hdf5::read_numbers<T>(group_.get(), label.name, {rows_, ranks_});
    add_to_sums(std::span(values));
    auto value = values.begin();
    for (Repetition& repetition : repetitions_)
      for (RankTimes& rank : repetition.ranks)
        rank.*member = *value++;
  }
  void of_ranks(const format::Label& label, std::array<double, phase_count> RankTimes::*member) {
    read_lists(label, phase_count, member);
  }
  void of_ranks(const format::Label& label, std::vector<double> RankTimes::*member) {
    read_lists(label, threads_, member);
  }

private:
  template <class List>
  void read_lists(const format::Label& label, std::size_t width, List RankTimes::*member) {
    const auto values =
        hdf5::read_numbers<double>(group_.get(), label.name, {rows_, ranks_, width});
    add_to_sums(std::span(values));
    auto value = values.begin();
    for (Repetition& repetition : repetitions_)
      for (RankTimes& rank : repetition.ranks) {
        std::copy_n(value, (rank.*member).size(), (rank.*member).begin());
        value += static_cast<std::ptrdiff_t>(width);
      }
  }

  template <class T>
  void add_to_sums(std::span<const T> values) {
    for (std::size_t row = 0; row < rows_; ++row)
      sums_[row].add(values.subspan(row * (values.size() / rows_), values.size() / rows_));
  }

  void require_sums() {
    const auto stated =
        hdf5::read_numbers<std::uint64_t>(group_.get(), format::row_sum.name, {rows_});
    for (std::size_t row = 0; row < rows_; ++row) {
      Repetition& repetition = repetitions_[row];
      if (repetition.state == RepState::empty && stated[row] == format::no_row)
        continue;
      sums_[row].add(std::string_view(repetition.schedule_used));
      const std::optional<RepState> state = state_of(sums_[row], stated[row]);
      if (!state || (repetition.state != RepState::empty && repetition.state != *state))
        refuse_row(row);
      repetition.state = *state; // a row whose writer was killed before the state is whole
    }
  }

  void read_added() {
    sums_.assign(rows_, {});
    format::each_added_variable(*this);
    const auto stated =
        hdf5::read_numbers<std::uint64_t>(group_.get(), format::added_sum.name, {rows_});
    for (std::size_t row = 0; row < rows_; ++row)
      if (repetitions_[row].state != RepState::empty && sums_[row].value() != stated[row])
        refuse_row(row);
  }

  [[noreturn]] void refuse_row(std::size_t row) const {
    throw hdf5::Failure("repetition " + std::to_string(row) + " of " + name_ +
                        " does not fit its checksum");
  }

  /// The state with which a row has the sum that it states.
  static std::optional<RepState> state_of(const format::ChainedSum& of_numbers,
                                          std::uint64_t stated) {
    const std::string_view words = format::rep_state.flag_meanings;
    const auto last = std::count(words.begin(), words.end(), ' ');
    for (std::uint8_t state = 1; state <= last; ++state) {
      format::ChainedSum sum = of_numbers;
      sum.add(state);
      if (sum.value() == stated)
        return static_cast<RepState>(state);
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<int> numbers(const char* name, std::size_t end) const {
    const auto values = hdf5::read_numbers<std::int32_t>(group_.get(), name, {ranks_});
    for (const std::int32_t value : values)
      if (value < 0 || static_cast<std::size_t>(value) >= end)
        throw hdf5::Failure(std::string("dataset ") + name + " holds " + std::to_string(value));
    return {values.begin(), values.end()};
  }

  /// Lengths that multiply to more than the file can hold are refused before memory is taken.
  void require_room(const hdf5::Shape& shape) const {
    double bytes = sizeof(double);
    for (const hsize_t length : shape)
      bytes *= static_cast<double>(length);
    if (bytes > static_cast<double>(file_bytes_))
      throw hdf5::Failure("the dimensions are larger than the file");
  }

  static void refuse_unknown_flag(const format::Label& label, double value) {
    if (label.flag_meanings == nullptr)
      return;
    const std::string_view words = label.flag_meanings;
    if (value > static_cast<double>(std::count(words.begin(), words.end(), ' ')))
      throw hdf5::Failure(std::string("dataset ") + label.name + " holds an unknown value");
  }

  std::string name_;
  hdf5::Group group_;
  std::size_t rows_;
  std::size_t ranks_;
  std::size_t threads_;
  std::size_t nodes_;
  std::uintmax_t file_bytes_;
  std::vector<Repetition> repetitions_;
  std::vector<format::ChainedSum> sums_; // by row
};

std::map<std::string, std::string> read_provenance(const hdf5::File& file) {
  std::map<std::string, std::string> facts;
  const hdf5::Group group = hdf5::open_group(file, "provenance");
  for (const std::string& name : hdf5::names_in(group))
    facts[name] = hdf5::read_strings(group.get(), name.c_str(), {}).front();
  return facts;
}

RunInfo read_info(const hdf5::File& file, const RowReader& run) {
  RunInfo info;
  run.read_layout(info);
  info.config_hash = hdf5::read_text_attribute(file.get(), "config_hash");
  info.provenance = read_provenance(file);
  return info;
}

std::optional<RowReader> warm_up_of(const hdf5::File& file, std::uintmax_t bytes) {
  if (!hdf5::exists(file.get(), "warm_up"))
    return std::nullopt;
  return std::optional<RowReader>(std::in_place, file, "warm_up", bytes);
}

Timings read_open(const hdf5::File& file, std::uintmax_t bytes) {
  Timings timings;
  RowReader run(file, "run", bytes);
  timings.info = read_info(file, run);
  std::optional<RowReader> warm_up = warm_up_of(file, bytes);
  const bool summed = format::has_sum(file, format::info_sum);
  if (summed)
    format::require_sum(file, format::info_sum,
                        format::sum_of(timings.info, run.rows(), warm_up ? warm_up->rows() : 0));
  const bool added = summed && format::has_added_sums(file);
  timings.run = run.read(timings.info.rank_threads, summed, added);
  if (warm_up) {
    RunInfo same;
    warm_up->read_layout(same);
    if (same.rank_threads != timings.info.rank_threads)
      throw hdf5::Failure("warm_up has other threads than run");
    timings.warm_up = warm_up->read(same.rank_threads, summed, added);
  }
  return timings;
}

constexpr std::size_t files_at_once = 64; ///< of one fork
constexpr FileKind kind = {format::name, format::major, "timings"};

/// Keeps the last file read in `timings`.
VettedReader into(Timings& timings) {
  return [&timings](const hdf5::File& open, std::uintmax_t bytes) {
    timings = read_open(open, bytes);
  };
}

} // namespace

std::uint64_t format::stored_sum(const hdf5::File& file) {
  constexpr auto any_length = std::numeric_limits<std::uintmax_t>::max();
  const RowReader run(file, "run", any_length);
  const std::optional<RowReader> warm_up = warm_up_of(file, any_length);
  return sum_of(read_info(file, run), run.rows(), warm_up ? warm_up->rows() : 0);
}

Timings read_timings(const fs::path& file) {
  Timings timings;
  read_vetted(file, kind, into(timings));
  return timings;
}

void read_timings(std::span<const fs::path> files,
                  const std::function<void(const fs::path&, const Timings&)>& told) {
  for (const fs::path& file : files)
    require_file(file);
  Timings timings;
  const VettedReader read = into(timings);
  const auto batch_at = [&](std::size_t at) {
    return files.subspan(at, std::min(files_at_once, files.size() - at));
  };
  std::optional<Trial> next;
  if (!files.empty())
    next = try_to_read(batch_at(0), kind, read);
  for (std::size_t at = 0; at < files.size(); at += files_at_once) {
    const TrialEnd end = next->end();
    if (at + files_at_once < files.size()) // tried while the batch before it is read
      next = try_to_read(batch_at(at + files_at_once), kind, read);
    for (const fs::path& file : batch_at(at)) {
      if (end.survived && end.message.empty())
        read_or_refuse(file, kind, read);
      else
        timings = read_timings(file);
      told(file, timings);
    }
  }
}

} // namespace cleave

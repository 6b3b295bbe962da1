#include "cleave/store.hpp"

#include "cleave/error.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"
#include "store_checksum.hpp"
#include "store_create.hpp"
#include "store_format.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <utility>

namespace cleave {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, const std::string& message) {
  throw Error(ErrorKind::bad_input, message, {file.string(), 0, {}});
}

/// Runs `work` with HDF5 silent, its failures as Errors that name the file.
template <class Work>
void guarded(const fs::path& file, Work work) {
  const hdf5::Quiet quiet;
  try {
    work();
  } catch (const hdf5::Failure& failure) {
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  } catch (const FileFailure& failure) {
    if (failure.error() == EEXIST)
      refuse(file, "has appeared meanwhile; give another name, or --force to replace it");
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  }
}

std::vector<std::byte> read_bytes(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  const auto size = stream ? static_cast<std::streamoff>(stream.tellg()) : 0;
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  stream.seekg(0).read(reinterpret_cast<char*>(bytes.data()), size);
  if (!stream)
    throw FileFailure("read it", errno);
  return bytes;
}

void require_size(const char* what, std::size_t size, int expected) {
  if (size != static_cast<std::size_t>(expected))
    throw Error(ErrorKind::bad_input, "a run's " + std::string(what) + " needs " +
                                          std::to_string(expected) + " entries, not " +
                                          std::to_string(size));
}

void require_whole(const RunInfo& info, const StoreOptions& options) {
  if (info.ranks < 1 || info.threads < 1 || info.nodes < 1 || options.repetitions < 1 ||
      options.warm_ups < 0)
    throw Error(ErrorKind::bad_input, "a run needs at least one rank, thread, node and repetition");
  require_size("rank_threads", info.rank_threads.size(), info.ranks);
  require_size("rank_node", info.rank_node.size(), info.ranks);
  require_size("rank_cpus", info.rank_cpus.size(), info.ranks);
  require_size("rank_pid", info.rank_pid.size(), info.ranks);
  require_size("node_name", info.node_name.size(), info.nodes);
}

/// The rows of /run or /warm_up. Visits each_variable to write one of them.
class Rows {
public:
  Rows(std::string group, int count, const RunInfo& info)
      : group_(std::move(group)), ranks_(static_cast<std::size_t>(info.ranks)),
        threads_(static_cast<std::size_t>(info.threads)),
        committed_(static_cast<std::size_t>(count)),
        schedules_(static_cast<std::size_t>(count), info.schedule) {}

  void open(const hdf5::File& file) {
    close();
    if (!committed_.empty())
      in_ = hdf5::open_group(file, group_.c_str());
  }
  void close() {
    datasets_.clear();
    in_ = {};
  }

  void require(int row, const Repetition& repetition) const {
    if (row < 0 || static_cast<std::size_t>(row) >= committed_.size())
      throw Error(ErrorKind::bad_input, "/" + group_ + " has no row " + std::to_string(row));
    if (committed_[static_cast<std::size_t>(row)])
      throw Error(ErrorKind::bad_input,
                  "row " + std::to_string(row) + " of /" + group_ + " is already committed");
    if (repetition.state == RepState::empty)
      throw Error(ErrorKind::bad_input, "a repetition without a state cannot be committed");
    require_size("repetition", repetition.ranks.size(), static_cast<int>(ranks_));
    for (const RankTimes& rank : repetition.ranks)
      if (rank.thread_busy_s.size() > threads_)
        throw Error(ErrorKind::bad_input, "a rank has more threads than the run");
  }

  [[nodiscard]] bool has_schedule(int row, const std::string& schedule) const {
    return schedules_[static_cast<std::size_t>(row)] == schedule;
  }

  /// Writes the schedule of a row and of those after it.
  void write_schedule(const hdf5::File& file, int row, const std::string& schedule) const {
    const auto first = static_cast<std::size_t>(row);
    const std::vector<std::string> texts(schedules_.size() - first, schedule);
    const hdf5::Group group = hdf5::open_group(file, group_.c_str());
    hdf5::overwrite_strings(hdf5::open_dataset(group.get(), format::schedule_used.name), first,
                            texts);
  }
  /// Notes what write_schedule() has written.
  void note_schedule(int row, const std::string& schedule) {
    std::fill(schedules_.begin() + row, schedules_.end(), schedule);
  }

  /// The order that makes a row whole or absent: numbers and their sum, flush, state, flush.
  void commit(const hdf5::File& file, int row, const Repetition& repetition) {
    row_ = static_cast<hsize_t>(row);
    repetition_ = &repetition;
    sum_ = {};
    format::each_added_variable(*this);
    write_sum(format::added_sum);
    format::each_variable(*this);
    sum_.add(std::string_view(repetition.schedule_used));
    sum_.add(static_cast<std::uint8_t>(repetition.state));
    write_sum(format::row_sum);
    hdf5::flush(file);
    of_run(format::rep_state, &Repetition::state);
    hdf5::flush(file);
    committed_[static_cast<std::size_t>(row)] = true;
  }

  template <class T>
  void of_run(const format::Label& label, T Repetition::*member) {
    const auto value = static_cast<format::stored_t<T>>(repetition_->*member);
    write(label, std::span(&value, 1));
  }
  void of_run(const format::Label& label, double Repetition::*member) {
    const bool done = repetition_->state == RepState::done;
    const double value =
        member == &Repetition::wall_s && !done ? not_measured : repetition_->*member;
    write(label, std::span(&value, 1));
  }
  template <class T>
  void of_ranks(const format::Label& label, T RankTimes::*member) {
    std::vector<T> values;
    for (const RankTimes& rank : repetition_->ranks)
      values.push_back(rank.*member);
    write(label, std::span<const T>(values));
  }
  void of_ranks(const format::Label& label, std::array<double, phase_count> RankTimes::*member) {
    std::vector<double> values;
    for (const RankTimes& rank : repetition_->ranks)
      values.insert(values.end(), (rank.*member).begin(), (rank.*member).end());
    write(label, std::span<const double>(values));
  }
  void of_ranks(const format::Label& label, std::vector<double> RankTimes::*member) {
    std::vector<double> values;
    for (const RankTimes& rank : repetition_->ranks) {
      values.insert(values.end(), (rank.*member).begin(), (rank.*member).end());
      values.resize(values.size() + threads_ - (rank.*member).size(), not_measured);
    }
    write(label, std::span<const double>(values));
  }

private:
  template <class T>
  void write(const format::Label& label, std::span<const T> values) {
    const auto [place, fresh] = datasets_.try_emplace(label.name);
    if (fresh)
      place->second = hdf5::open_dataset(in_.get(), label.name);
    hdf5::write_row(place->second, row_, hdf5::Number<T>::in_memory(), values.data());
    sum_.add(values);
  }

  /// Of all that was written since the sum before.
  void write_sum(const format::Label& label) {
    const std::uint64_t sum = sum_.value();
    write(label, std::span(&sum, 1));
    sum_ = {};
  }

  std::string group_;
  std::size_t ranks_;
  std::size_t threads_;
  std::vector<bool> committed_;
  std::vector<std::string> schedules_; // what the file says, by row
  hdf5::Group in_;
  std::map<std::string, hdf5::Dataset> datasets_;
  hsize_t row_ = 0;
  const Repetition* repetition_ = nullptr; // while commit() runs
  format::ChainedSum sum_;                 // of what was written since the last one
};

} // namespace

struct Store::State {
  State(fs::path final_name, const RunInfo& info, const StoreOptions& options)
      : file(std::move(final_name)), run("run", options.repetitions, info),
        warm_up("warm_up", options.warm_ups, info) {
    const hdf5::File made = format::create(info, options);
    NewFile fresh(file);
    fresh.write(hdf5::bytes_of(made));
    go_on_with(opened(fresh));
    if (options.force)
      unnamed = std::move(fresh);
    else
      fresh.publish();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    const hdf5::Quiet quiet;
    run.close();
    warm_up.close();
    hdf5 = {};
  }

  [[nodiscard]] const fs::path& path() const { return unnamed ? unnamed->path() : file; }

  /// Opened, and locked with that, before it has its name: who reads finds no file, or one that is
  /// being written.
  static hdf5::File opened(const NewFile& fresh) { return hdf5::open_file(fresh.path(), true); }
  void go_on_with(hdf5::File changed) {
    run.close();
    warm_up.close();
    hdf5 = std::move(changed);
    run.open(hdf5);
    warm_up.open(hdf5);
  }

  void commit(Rows& rows, int row, const Repetition& repetition) {
    rows.require(row, repetition);
    guarded(file, [&] {
      if (!rows.has_schedule(row, repetition.schedule_used))
        change_schedule(rows, row, repetition.schedule_used);
      rows.commit(hdf5, row, repetition);
      if (&rows == &run && unnamed) {
        unnamed->replace();
        unnamed.reset();
      }
    });
  }

  /// A text lives in HDF5's heap, which cannot be changed without an instant in which the file is
  /// broken: it is changed in a copy, which then takes the file's place.
  void change_schedule(Rows& rows, int row, const std::string& schedule) {
    const hdf5::File copy = hdf5::open_in_memory(read_bytes(path()));
    rows.write_schedule(copy, row, schedule);
    NewFile changed(path());
    changed.write(hdf5::bytes_of(copy));
    hdf5::File locked = opened(changed);
    changed.replace();
    rows.note_schedule(row, schedule);
    go_on_with(std::move(locked));
  }

  fs::path file;
  std::optional<NewFile> unnamed; // with force: until the first committed repetition
  Rows run;
  Rows warm_up;
  hdf5::File hdf5;
};

Store::Store(const fs::path& file, const RunInfo& info, const StoreOptions& options) {
  require_whole(info, options);
  check_output(file, options.force);
  guarded(file, [&] { state_ = std::make_unique<State>(file, info, options); });
}

Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

void Store::commit(int row, const Repetition& repetition) {
  state_->commit(state_->run, row, repetition);
}

void Store::commit_warm_up(int row, const Repetition& repetition) {
  state_->commit(state_->warm_up, row, repetition);
}

const fs::path& Store::file() const noexcept {
  return state_->file;
}

void check_output(const fs::path& file, bool force) {
  if (file.filename().empty())
    refuse(file, "names no file");
  constexpr std::size_t longest_suffix = 32; // of names beside it, until it is whole
  if (file.filename().native().size() > NAME_MAX - longest_suffix)
    refuse(file, "is longer than a file's name may be; give a shorter one");
  std::error_code ignored;
  const fs::path directory = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const auto parent = fs::status(directory, ignored);
  if (!fs::exists(parent))
    refuse(file, "its directory does not exist; make it: mkdir -p " + directory.string());
  if (!fs::is_directory(parent))
    refuse(file, directory.string() + " is not a directory; give another name");
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    refuse(file, "its directory cannot be written: " + std::string(std::strerror(errno)) +
                     "; give a name in another directory");
  const auto there = fs::symlink_status(file, ignored);
  if (!fs::exists(there))
    return;
  if (!fs::is_regular_file(there) && !fs::is_symlink(there))
    refuse(file, fs::is_directory(there) ? "is a directory; give the name of a file in it"
                                         : "is not a regular file; give another name");
  if (!force)
    refuse(file, "exists already; give another name, or --force to replace it");
}

} // namespace cleave

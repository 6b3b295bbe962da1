#include "store_create.hpp"

#include "store_checksum.hpp"
#include "store_format.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <numeric>
#include <random>
#include <sstream>

namespace cleave::format {
namespace {

using hdf5::Dataset;
using hdf5::Dimension;
using hdf5::Number;
using hdf5::Shape;

std::string random_uuid() { // RFC 4122, version 4
  std::random_device device;
  std::string text = hex16((std::uint64_t{device()} << 32U) | device()) +
                     hex16((std::uint64_t{device()} << 32U) | device());
  text[12] = '4';
  text[16] = "89ab"[device() % 4];
  for (const std::size_t at : {20U, 16U, 12U, 8U})
    text.insert(at, 1, '-');
  return text;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// One group of rows, /run or /warm_up, being made. Visits each_variable.
class GroupMaker {
public:
  GroupMaker(const hdf5::File& file, const char* name, int rows, const RunInfo& info)
      : group_(hdf5::create_group(file, name)), rows_(static_cast<hsize_t>(rows)),
        ranks_(static_cast<hsize_t>(info.ranks)), threads_(static_cast<hsize_t>(info.threads)),
        rep_(counting("rep", rows_, "repetition")), rank_(counting("rank", ranks_, "MPI rank")),
        thread_(counting("thread", threads_, "thread of a rank")),
        node_(counting("node", static_cast<hsize_t>(info.nodes), "node")), phase_(phases()) {}

  template <class T>
  void of_run(const Label& label, T Repetition::*) {
    make<stored_t<T>>(label, {rows_}, {&rep_});
  }
  void row_sums(const Label& label) {
    const Dataset dataset = hdf5::create_dataset(
        group_.get(), label.name, Number<std::uint64_t>::in_file(), {rows_}, &no_row);
    finish(dataset, label, {&rep_});
  }
  template <class T>
  void of_ranks(const Label& label, T RankTimes::*) {
    make<T>(label, {rows_, ranks_}, {&rep_, &rank_});
  }
  void of_ranks(const Label& label, std::array<double, phase_count> RankTimes::*) {
    make<double>(label, {rows_, ranks_, phase_count}, {&rep_, &rank_, &phase_});
  }
  void of_ranks(const Label& label, std::vector<double> RankTimes::*) {
    make<double>(label, {rows_, ranks_, threads_}, {&rep_, &rank_, &thread_});
  }

  void describe_run(const RunInfo& info) {
    const hid_t group = group_.get();
    hdf5::write_text_attribute(group, "workload", info.workload);
    hdf5::write_attribute<std::int64_t>(group, "ranks", info.ranks);
    hdf5::write_attribute<std::int64_t>(group, "threads", info.threads);
    hdf5::write_attribute<std::int64_t>(group, "nodes", info.nodes);
    hdf5::write_attribute<std::int64_t>(group, "oversubscribed", info.oversubscribed ? 1 : 0);
    hdf5::write_attribute<std::int64_t>(group, "tasks", info.tasks);
    hdf5::write_attribute<double>(group, "work_items", info.work_items);
    hdf5::write_text_attribute(group, "work_unit", info.work_unit);
    hdf5::write_text_attribute(group, "schedule", info.schedule);
    hdf5::write_text_attribute(group, "sync_method", info.sync_method);
    hdf5::write_text_attribute(group, "summary_method", info.summary_method);
  }

  /// What does not change between repetitions.
  void write_layout(const RunInfo& info) {
    write<std::int32_t>({"rank_node", "1", "node of the rank"},
                        {info.rank_node.begin(), info.rank_node.end()}, rank_);
    write<std::int32_t>({"rank_threads", "1", "threads of the rank"},
                        {info.rank_threads.begin(), info.rank_threads.end()}, rank_);
    write<std::int64_t>({"rank_pid", "1", "process of the rank"}, info.rank_pid, rank_);
    write({"rank_cpus", "1", "logical CPUs that the rank may use"}, info.rank_cpus, rank_);
    write({"node_name", "1", "host name of the node"}, info.node_name, node_);
    write(schedule_used, std::vector<std::string>(rows_, info.schedule), rep_);
  }

  /// Completes the dimensions; after the last variable.
  void finish() const {
    for (const Dimension* dimension : {&rep_, &rank_, &thread_, &node_, &phase_})
      dimension->finish();
  }

private:
  Dimension counting(const char* name, hsize_t length, const char* long_name) {
    std::vector<std::int32_t> values(length);
    std::iota(values.begin(), values.end(), 0);
    Dataset scale = hdf5::write_numbers<std::int32_t>(group_.get(), name, values, {length});
    label(scale, {name, "1", long_name});
    return {std::move(scale), name};
  }

  Dimension phases() {
    const std::vector<std::string> names(phase_names.begin(), phase_names.end());
    Dataset scale = hdf5::write_strings(group_.get(), "phase", names, {phase_count});
    label(scale, {"phase", "1", "what a rank is doing"});
    return {std::move(scale), "phase"};
  }

  template <class T>
  void make(const Label& meaning, const Shape& shape,
            std::initializer_list<Dimension*> dimensions) {
    constexpr bool real = std::is_floating_point_v<T>;
    const T missing = real ? std::numeric_limits<T>::quiet_NaN() : T{};
    const Dataset dataset = hdf5::create_dataset(group_.get(), meaning.name, Number<T>::in_file(),
                                                 shape, real ? &missing : nullptr);
    if (real)
      hdf5::write_attribute(dataset.get(), "_FillValue", missing);
    finish(dataset, meaning, dimensions);
  }

  template <class T>
  void write(const Label& meaning, const std::vector<T>& values, Dimension& dimension) {
    finish(hdf5::write_numbers<T>(group_.get(), meaning.name, values, {values.size()}), meaning,
           {&dimension});
  }
  void write(const Label& meaning, const std::vector<std::string>& texts, Dimension& dimension) {
    finish(hdf5::write_strings(group_.get(), meaning.name, texts, {texts.size()}), meaning,
           {&dimension});
  }

  static void finish(const Dataset& dataset, const Label& meaning,
                     std::initializer_list<Dimension*> dimensions) {
    label(dataset, meaning);
    hdf5::describe(dataset, dimensions);
  }

  static void label(const Dataset& dataset, const Label& meaning) {
    hdf5::write_text_attribute(dataset.get(), "units", meaning.units);
    hdf5::write_text_attribute(dataset.get(), "long_name", meaning.long_name);
    if (meaning.flag_meanings == nullptr)
      return;
    std::istringstream words(meaning.flag_meanings);
    std::vector<std::uint8_t> values;
    for (std::string word; words >> word;)
      values.push_back(static_cast<std::uint8_t>(values.size()));
    hdf5::write_attribute(dataset.get(), "flag_values", H5T_STD_U8LE, H5T_NATIVE_UINT8,
                          {values.size()}, values.data());
    hdf5::write_text_attribute(dataset.get(), "flag_meanings", meaning.flag_meanings);
  }

  hdf5::Group group_;
  hsize_t rows_;
  hsize_t ranks_;
  hsize_t threads_;
  Dimension rep_;
  Dimension rank_;
  Dimension thread_;
  Dimension node_;
  Dimension phase_;
};

void make_group(const hdf5::File& file, const char* name, int rows, const RunInfo& info) {
  GroupMaker group(file, name, rows, info);
  group.describe_run(info);
  each_variable(group);
  each_added_variable(group);
  group.of_run(rep_state, &Repetition::state);
  group.row_sums(row_sum);
  group.row_sums(added_sum);
  group.write_layout(info);
  group.finish();
}

void write_provenance(const hdf5::File& file, const RunInfo& info) {
  const hdf5::Group group = hdf5::create_group(file, "provenance");
  for (const auto& [fact, text] : info.provenance) {
    const std::string value = hdf5::as_utf8(text);
    hdf5::write_strings(group.get(), fact.c_str(), std::span(&value, 1), {});
  }
}

} // namespace

hdf5::File create(const RunInfo& info, const StoreOptions& options) {
  hdf5::File file = hdf5::create_in_memory();
  hdf5::write_text_attribute(file.get(), "format", name);
  hdf5::write_text_attribute(file.get(), "format_version", version);
  hdf5::write_text_attribute(file.get(), "file_uuid", random_uuid());
  hdf5::write_text_attribute(file.get(), "config_hash", info.config_hash);
  hdf5::write_text_attribute(file.get(), "created_utc", utc_now());
  make_group(file, "run", options.repetitions, info);
  if (options.warm_ups > 0)
    make_group(file, "warm_up", options.warm_ups, info);
  write_provenance(file, info);
  write_sum(file, info_sum, stored_sum(file));
  return file;
}

} // namespace cleave::format

#include "cleave/error.hpp"
#include "cleave/store.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"
#include "store_checksum.hpp"
#include "store_vetted.hpp"

#include <numeric>
#include <string>

namespace cleave {
namespace {

constexpr FileKind trace_kind = {"cleave-trace", 1, "trace"};
constexpr const char* trace_sum = "columns_xxh3";

/// Writes the columns of a trace, one value a chunk, on the dimension `chunk`.
class TraceWriter {
public:
  TraceWriter(const hdf5::File& file, std::span<const TraceRow> rows)
      : file_(file), rows_(rows), chunk_(numbered()) {
    hdf5::write_text_attribute(file_.get(), "format", trace_kind.format);
    hdf5::write_text_attribute(file_.get(), "format_version", "1.1");
  }

  template <class T>
  void column(const char* name, const char* units, const char* long_name, T TraceRow::*member) {
    std::vector<T> values;
    values.reserve(rows_.size());
    for (const TraceRow& row : rows_)
      values.push_back(row.*member);
    sum_.add(std::span<const T>(values));
    const auto dataset = hdf5::write_numbers<T>(file_.get(), name, values, {values.size()});
    label(dataset, units, long_name);
    hdf5::Dimension* const dimension = &chunk_;
    hdf5::describe(dataset, {&dimension, 1});
  }

  void finish() const {
    chunk_.finish();
    format::write_sum(file_, trace_sum, sum_.value());
  }

private:
  [[nodiscard]] hdf5::Dimension numbered() const {
    std::vector<std::int64_t> numbers(rows_.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    auto scale = hdf5::write_numbers<std::int64_t>(file_.get(), "chunk", numbers, {numbers.size()});
    label(scale, "1", "row of the trace");
    return {std::move(scale), "chunk"};
  }

  static void label(const hdf5::Dataset& dataset, const char* units, const char* long_name) {
    hdf5::write_text_attribute(dataset.get(), "units", units);
    hdf5::write_text_attribute(dataset.get(), "long_name", long_name);
  }

  const hdf5::File& file_;
  std::span<const TraceRow> rows_;
  hdf5::Dimension chunk_;
  format::ChainedSum sum_;
};

/// Reads them back.
class TraceReader {
public:
  TraceReader(const hdf5::File& file, std::uintmax_t bytes)
      : file_(file), rows_(length_of(file.get(), "chunk", bytes / sizeof(std::int64_t))) {}

  template <class T>
  void column(const char* name, const char* /*units*/, const char* /*long_name*/,
              T TraceRow::*member) {
    const auto values = hdf5::read_numbers<T>(file_.get(), name, {rows_.size()});
    sum_.add(std::span(values));
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (!(values[i] >= T{} || std::is_floating_point_v<T>))
        throw hdf5::Failure(std::string("dataset ") + name + " holds " + std::to_string(values[i]));
      rows_[i].*member = values[i];
    }
  }

  std::vector<TraceRow> finish() {
    if (format::has_sum(file_, trace_sum))
      format::require_sum(file_, trace_sum, sum_.value());
    return std::move(rows_);
  }

private:
  const hdf5::File& file_;
  std::vector<TraceRow> rows_;
  format::ChainedSum sum_;
};

template <class Visitor>
auto each_column(Visitor visit) {
  visit.column("rep", "1", "repetition", &TraceRow::rep);
  visit.column("rank", "1", "rank that computed the chunk", &TraceRow::rank);
  visit.column("thread", "1", "thread of the rank", &TraceRow::thread);
  visit.column("first_task", "1", "first task of the chunk", &TraceRow::first_task);
  visit.column("tasks", "1", "tasks in the chunk", &TraceRow::tasks);
  visit.column("begin_s", "s", "begin, from the synchronised start", &TraceRow::begin_s);
  visit.column("end_s", "s", "end, from the synchronised start", &TraceRow::end_s);
  return visit.finish();
}

} // namespace

void write_trace(const std::filesystem::path& file, std::span<const TraceRow> rows) {
  const hdf5::Quiet quiet;
  try {
    const hdf5::File made = hdf5::create_in_memory();
    each_column(TraceWriter(made, rows));
    NewFile fresh(file);
    fresh.write(hdf5::bytes_of(made));
    fresh.replace();
  } catch (const std::runtime_error& failure) { // hdf5::Failure, FileFailure
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  }
}

std::vector<TraceRow> read_trace(const std::filesystem::path& file) {
  std::vector<TraceRow> rows;
  read_vetted(file, trace_kind, [&rows](const hdf5::File& open, std::uintmax_t bytes) {
    rows = each_column(TraceReader(open, bytes));
  });
  return rows;
}

} // namespace cleave

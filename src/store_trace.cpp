#include "cleave/error.hpp"
#include "cleave/store.hpp"
#include "hdf5_file.hpp"
#include "new_file.hpp"

#include <numeric>

namespace cleave {
namespace {

/// Writes the columns of a trace, one value a chunk, on the dimension `chunk`.
class TraceWriter {
public:
  TraceWriter(const hdf5::File& file, std::span<const TraceRow> rows)
      : file_(file.get()), rows_(rows), chunk_(numbered()) {
    hdf5::write_text_attribute(file_, "format", "cleave-trace");
    hdf5::write_text_attribute(file_, "format_version", "1.0");
  }

  template <class T>
  void column(const char* name, const char* units, const char* long_name, T TraceRow::*member) {
    std::vector<T> values;
    values.reserve(rows_.size());
    for (const TraceRow& row : rows_)
      values.push_back(row.*member);
    const auto dataset = hdf5::write_numbers<T>(file_, name, values, {values.size()});
    label(dataset, units, long_name);
    hdf5::Dimension* const dimension = &chunk_;
    hdf5::describe(dataset, {&dimension, 1});
  }

  void finish() const { chunk_.finish(); }

private:
  [[nodiscard]] hdf5::Dimension numbered() const {
    std::vector<std::int64_t> numbers(rows_.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    auto scale = hdf5::write_numbers<std::int64_t>(file_, "chunk", numbers, {numbers.size()});
    label(scale, "1", "row of the trace");
    return {std::move(scale), "chunk"};
  }

  static void label(const hdf5::Dataset& dataset, const char* units, const char* long_name) {
    hdf5::write_text_attribute(dataset.get(), "units", units);
    hdf5::write_text_attribute(dataset.get(), "long_name", long_name);
  }

  hid_t file_;
  std::span<const TraceRow> rows_;
  hdf5::Dimension chunk_;
};

void write_columns(const hdf5::File& file, std::span<const TraceRow> rows) {
  TraceWriter trace(file, rows);
  trace.column("rep", "1", "repetition", &TraceRow::rep);
  trace.column("rank", "1", "rank that computed the chunk", &TraceRow::rank);
  trace.column("thread", "1", "thread of the rank", &TraceRow::thread);
  trace.column("first_task", "1", "first task of the chunk", &TraceRow::first_task);
  trace.column("tasks", "1", "tasks in the chunk", &TraceRow::tasks);
  trace.column("begin_s", "s", "begin, from the synchronised start", &TraceRow::begin_s);
  trace.column("end_s", "s", "end, from the synchronised start", &TraceRow::end_s);
  trace.finish();
}

} // namespace

void write_trace(const std::filesystem::path& file, std::span<const TraceRow> rows) {
  const hdf5::Quiet quiet;
  try {
    const hdf5::File made = hdf5::create_in_memory();
    write_columns(made, rows);
    NewFile fresh(file);
    fresh.write(hdf5::bytes_of(made));
    fresh.replace();
  } catch (const std::runtime_error& failure) { // hdf5::Failure, FileFailure
    throw Error(ErrorKind::io, failure.what(), {file.string(), 0, {}});
  }
}

} // namespace cleave
